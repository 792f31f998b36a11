package bus

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// Later holds those fields of a JSON object that this version does not know, as an object: a later
// one wrote them. They go along wherever the object goes, so that a node of this version may stand
// between two later ones. It is a field of the types that keep them, with the tag `json:",embed"`,
// which encoding/json does not know before Go 1.27: those are encoded by Marshal.
type Later = jsontext.Value

// options are those of what nodes say to one another: what encoding/json would say, but that nothing
// is escaped for the sake of HTML or JavaScript: a payload stays as long as it was.
var options = json.JoinOptions(jsonv1.DefaultOptionsV1(), jsontext.EscapeForHTML(false), jsontext.EscapeForJS(false))

// Marshal encodes v as nodes say it to one another, fields of later versions included. Its errors are
// those of encoding/json/v2.
func Marshal(v any) ([]byte, error) { return json.Marshal(v, options) }

// Unmarshal decodes what Marshal, or a later version's, has encoded.
func Unmarshal(b []byte, into any) error { return json.Unmarshal(b, into, options) }

// MarshalLater encodes the object that v points to, of a type without methods; later is its field of
// that type.
func MarshalLater(e *jsontext.Encoder, v any, later *Later) error {
	*later = withAdded(*later)
	return json.MarshalEncode(e, v, options)
}

// unmarshalLater decodes an object, as MarshalLater encodes it.
func unmarshalLater(d *jsontext.Decoder, into any, later *Later) error {
	*later = nil
	return json.UnmarshalDecode(d, into, options)
}

// namesOf returns the names of the fields in later, in their order.
func namesOf(later Later) (names []string) {
	d := jsontext.NewDecoder(bytes.NewReader(later), options)
	for {
		t, err := d.ReadToken()
		if err != nil { // the end
			return names
		}
		if t.Kind() != '"' { // a brace
			continue
		}
		names = append(names, t.String())
		if d.SkipValue() != nil {
			return names
		}
	}
}
