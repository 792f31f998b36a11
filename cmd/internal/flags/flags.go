// Package flags reads the values of the command lines of both programs, and says what is wanted where one
// cannot be read. It owns no flag.
package flags

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/alecthomas/kong"
)

// Values makes kong read times and numbers by this package. Unlike kong's own readers they take a
// negative one without "=" too. Texts, lists and paths kong reads, where there is one.
func Values() kong.Option {
	return kong.OptionFunc(func(k *kong.Kong) error {
		own := kong.NewRegistry().RegisterDefaults()
		text := given(whole(own.ForType(reflect.TypeFor[string]())))
		lists := kong.NewRegistry().RegisterDefaults().RegisterKind(reflect.String, text)
		for _, o := range []kong.Option{
			kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(duration)),
			kong.KindMapper(reflect.Int, kong.MapperFunc(number)),
			kong.KindMapper(reflect.Int64, kong.MapperFunc(number)),
			kong.KindMapper(reflect.Float64, kong.MapperFunc(fraction)),
			kong.KindMapper(reflect.String, text),
			kong.KindMapper(reflect.Slice, given(lists.ForType(reflect.TypeFor[[]string]()))),
			kong.NamedMapper("path", given(own.ForNamedType("path", reflect.TypeFor[string]()))),
		} {
			if err := o.Apply(k); err != nil {
				return err
			}
		}
		return nil
	})
}

func duration(ctx *kong.DecodeContext, target reflect.Value) error {
	return read(ctx, "time", "500ms, 90s or 168h", func(s string) error {
		d, err := time.ParseDuration(s)
		target.SetInt(int64(d))
		return err
	})
}

func number(ctx *kong.DecodeContext, target reflect.Value) error {
	return read(ctx, "whole number", "1 or 20", func(s string) error {
		n, err := strconv.ParseInt(s, 10, 64)
		target.SetInt(n)
		return err
	})
}

func fraction(ctx *kong.DecodeContext, target reflect.Value) error {
	return read(ctx, "number", "0 or 0.7", func(s string) error {
		f, err := strconv.ParseFloat(s, 64)
		target.SetFloat(f)
		return err
	})
}

// given is m where a value is given.
func given(m kong.Mapper) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		if ctx.Scan.Peek().IsEOL() {
			return errors.New("its value is missing")
		}
		return m.Decode(ctx, target)
	}
}

// whole is m, of texts, which keeps what is no UTF-8 in one, as in the names of files of older systems.
func whole(m kong.Mapper) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		s, isText := ctx.Scan.Peek().Value.(string)
		if err := m.Decode(ctx, target); err != nil || !isText {
			return err
		}
		target.SetString(s)
		return nil
	}
}

// read hands the value of a flag to set, and tells what it is to be where there is none or set fails.
func read(ctx *kong.DecodeContext, what, such string, set func(string) error) error {
	t := ctx.Scan.Pop()
	switch {
	case t.IsEOL(), t.InferredType() == kong.FlagToken:
		return fmt.Errorf("the %s is missing: want one such as %s", what, such)
	case set(fmt.Sprint(t.Value)) != nil:
		return fmt.Errorf("%q is no %s: want one such as %s", t.Value, what, such)
	}
	return nil
}
