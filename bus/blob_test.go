package bus_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// What comes in from others is looked at before its name or its size is used.
func TestBlobFromOthers(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("0a", 32)
	for in, code := range map[string]bus.Code{
		fmt.Sprintf(`{"sha256":%q,"size":1}`, sum):                    "",
		fmt.Sprintf(`{"sha256":%q,"size":%d}`, sum, bus.MaxPayload):   "",
		fmt.Sprintf(`{"sha256":%q,"size":%d}`, sum, bus.MaxPayload+1): bus.CodeTooLarge,
		fmt.Sprintf(`{"sha256":%q,"size":0}`, sum):                    bus.CodeInvalid,
		fmt.Sprintf(`{"sha256":%q,"size":-1}`, sum):                   bus.CodeInvalid,
		fmt.Sprintf(`{"sha256":%q,"size":1}`, strings.ToUpper(sum)):   bus.CodeInvalid,
		fmt.Sprintf(`{"sha256":%q,"size":1}`, sum[2:]):                bus.CodeInvalid,
		fmt.Sprintf(`{"sha256":%q,"size":1}`, "/../../x"):             bus.CodeInvalid,
		fmt.Sprintf(`{"sha256":%q,"size":1}`, "../../../"+sum[9:]):    bus.CodeInvalid,
		`{}`: bus.CodeInvalid,
	} {
		var info bus.TaskInfo
		err := json.Unmarshal([]byte(`{"id":"t1","result_blob":`+in+`}`), &info)
		if (err == nil) != (code == "") || err != nil && !errors.Is(err, &bus.Error{Code: code}) {
			t.Errorf("%s: %v, want %q", in, err, code)
		}
	}
}
