package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// asking is a request that ends with ctx.
func asking(ctx context.Context) *http.Request {
	return httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/messages", nil)
}

// reads is a document of a user whose text has so many bytes.
func (k *readings) reads(t *testing.T, user string, i, size int) (again bool) {
	t.Helper()
	again = true
	text, err := k.text(asking(t.Context()), documentName{user: user, name: fmt.Sprint(i)}, func() (string, error) {
		again = false
		return strings.Repeat("x", size), nil
	})
	if err != nil || len(text) != size {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	return again
}

// Texts of documents have so much room, and are kept for so long: the least recently wanted of who has the most give way.
func TestRoomForReadings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := readings{most: 100}
		k.reads(t, "b", 0, 10)
		for i := range 4 {
			k.reads(t, "a", i, 30)
			if !k.reads(t, "a", 0, 30) {
				t.Errorf("what is wanted all the time is read anew beside document %d", i)
			}
			if k.bytes > k.most {
				t.Fatalf("%d bytes are kept", k.bytes)
			}
		}
		if !k.reads(t, "b", 0, 10) || k.reads(t, "a", 1, 30) {
			t.Errorf("the least wanted of who has the most is kept, or that of another is not: %v", k.by)
		}
		for i := range 2 * readLong {
			k.reads(t, "c", i, 0)
		}
		if !k.reads(t, "b", 0, 10) || len(k.order) > readLong || len(k.by) != len(k.order) {
			t.Errorf("%d are kept, and %d named", len(k.order), len(k.by))
		}
	})
}

// Who has a document read may leave: another one has it read then.
func TestReadingIsHandedOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, name := readings{most: 100}, documentName{name: "x"}
		first, leave := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() {
			_, err := k.text(asking(first), name, func() (string, error) { <-first.Done(); return "", first.Err() })
			ended <- err
		}()
		synctest.Wait()
		second := make(chan string, 1)
		go func() {
			text, err := k.text(asking(t.Context()), name, func() (string, error) { return "read", nil })
			second <- fmt.Sprint(text, err)
		}()
		impatient, gone := context.WithCancel(t.Context())
		go func() {
			_, err := k.text(asking(impatient), name, func() (string, error) { return "", errors.New("it is read twice at once") })
			ended <- err
		}()
		synctest.Wait()
		gone()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("who waits leaves: %v", err)
		}
		leave()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("who has it read leaves: %v", err)
		}
		if got := <-second; got != "read<nil>" {
			t.Errorf("the other one: %s", got)
		}
	})
}

// What came to nothing is read anew, also where it was a fault of this node.
func TestReadingFails(t *testing.T) {
	t.Parallel()
	k, name := readings{most: 100}, documentName{name: "x"}
	if _, err := k.text(asking(t.Context()), name, func() (string, error) { return "", errors.New("it is broken") }); err == nil {
		t.Error("no error")
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = k.text(asking(t.Context()), name, func() (string, error) { panic("a fault") })
	}()
	if k.reads(t, "", 0, 10) || k.reads(t, "", 1, 101) || k.reads(t, "", 1, 101) || !k.reads(t, "", 0, 10) {
		t.Error("what is kept is read anew, or what is too long is not")
	}
	if text, err := k.text(asking(t.Context()), name, func() (string, error) { return "read", nil }); text != "read" || err != nil {
		t.Errorf("%q %v", text, err)
	}
}

// A text goes that nobody has wanted for an hour.
func TestReadingsAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := readings{most: 100}
		k.reads(t, "", 0, 1)
		k.reads(t, "", 1, 1)
		for range 3 {
			time.Sleep(readFor / 2)
			if !k.reads(t, "", 0, 1) {
				t.Error("one that is wanted was forgotten")
			}
		}
		if len(k.order) != 1 || len(k.by) != 1 || k.bytes != 1 {
			t.Errorf("%d are kept, with %d bytes", len(k.order), k.bytes)
		}
	})
}
