package bus

import "testing"

func TestShellWord(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ s, unix, windows string }{
		{"/home/ada/data", "/home/ada/data", "/home/ada/data"},
		{`C:\Users\ada\data`, `'C:\Users\ada\data'`, `C:\Users\ada\data`},
		{`C:\Users\Ada L\data`, `'C:\Users\Ada L\data'`, `"C:\Users\Ada L\data"`},
		{"it's", `'it'\''s'`, `"it's"`},
		{`say "hi"`, `'say "hi"'`, `"say \"hi\""`},
		{"~/data", "'~/data'", "~/data"},
		{"", "''", `""`},
	} {
		if got := shellWord(c.s, false); got != c.unix {
			t.Errorf("%s: %s, want %s", c.s, got, c.unix)
		}
		if got := shellWord(c.s, true); got != c.windows {
			t.Errorf("%s on Windows: %s, want %s", c.s, got, c.windows)
		}
	}
}
