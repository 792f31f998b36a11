package main

import (
	"strings"
	"unicode"

	"github.com/mycoswarm/mycoswarm/bus"
)

// chatVerb is a command within a conversation.
type chatVerb struct {
	name, arg, help string
	needs           bool // arg must be there
}

// chatVerbs are the commands, in the order of /help.
var chatVerbs = []chatVerb{
	{name: "/model", arg: "[NAME]", help: `List the models, or ask this one; "" leaves it to the swarm.`},
	{name: "/node", arg: "[NAME]", help: `List the nodes, or ask this one; "" leaves it to the swarm.`},
	{name: "/peers", help: "Show the nodes of the swarm."},
	{name: "/system", arg: "[TEXT]", help: `Show what the model is told first, or set it; "" for nothing.`},
	{name: "/think", arg: "[HOW]", help: `Have the model think first: true, false, low, medium or high; "" leaves it to the model.`},
	{name: "/library", arg: "[NAME]", help: `List the libraries, or answer from this one; "" from none.`},
	{name: "/image", arg: "[FILE]", help: `Show the model a picture with the next question; "" shows it none.`},
	{name: "/retry", help: "Ask the last question again."},
	{name: "/save", arg: "[NAME]", help: "Give the conversation a name. It is saved after each answer anyway."},
	{name: "/load", arg: "NAME", help: "Go on with another conversation.", needs: true},
	{name: "/clear", help: "Begin a new conversation."},
	{name: "/help", help: "Show this."},
	{name: "/bye", help: "Leave."},
}

// chatLine is what a person has entered: a command with its argument, or a question.
type chatLine struct {
	verb, arg string
	set       bool // an argument was given, if perhaps ""
	question  string
}

// parseChat reads one input. It is a command if it begins with a slash and a word; a path such as
// /etc/hosts is a question. An error names what is wrong with a command.
func parseChat(in string) (chatLine, error) {
	text := strings.TrimSpace(in)
	word, rest := text, ""
	if i := strings.IndexFunc(text, unicode.IsSpace); i >= 0 {
		word, rest = text[:i], text[i:]
	}
	if other := chatAliases[word]; other != "" {
		word = other
	}
	if !isVerb(word) || strings.Contains(text, "\n") && word != "/system" {
		return chatLine{question: strings.Trim(in, "\r\n")}, nil
	}
	for _, v := range chatVerbs {
		if word != v.name {
			continue
		}
		l := chatLine{verb: v.name, arg: strings.TrimSpace(rest)}
		l.set = l.arg != ""
		if n := len(l.arg); n >= 2 && l.arg[0] == '"' && l.arg[n-1] == '"' {
			l.arg = l.arg[1 : n-1]
		}
		switch {
		case v.arg == "" && l.set:
			return l, bus.Errorf(bus.CodeInvalid, "%s takes nothing more", v.name)
		case v.needs && l.arg == "":
			return l, bus.Errorf(bus.CodeInvalid, "%s wants a %s", v.name, v.arg).WithHint("myco chat --list")
		}
		return l, nil
	}
	return chatLine{}, bus.Errorf(bus.CodeInvalid, "there is no command %s", word).WithHint("/help")
}

// chatAliases are what people type who come from elsewhere.
var chatAliases = map[string]string{"/exit": "/bye", "/quit": "/bye", "/?": "/help"}

// isVerb reports whether a word is a slash and letters.
func isVerb(word string) bool {
	name, ok := strings.CutPrefix(word, "/")
	return ok && name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r < 'a' || r > 'z' })
}

// chatHelp is what /help shows on a terminal of that width; 0 for any.
func chatHelp(width int) string {
	var rows [][2]string
	for _, v := range chatVerbs {
		rows = append(rows, [2]string{v.name + " " + v.arg, v.help})
	}
	rows = append(rows,
		[2]string{`"""`, `Begins and ends a question of several lines; so does \ at the end of a line.`},
		[2]string{"Ctrl-C", "Stops the answer, and keeps the conversation."},
		[2]string{"Ctrl-D", "Leaves."})
	for i := range rows {
		rows[i][0] = "  " + strings.TrimSpace(rows[i][0])
	}
	return fieldLines(wrapPairs(rows, width))
}

// gather joins the lines of one input: """ to """, or lines that end with a backslash.
type gather struct {
	command string // stands before the quotes
	lines   []string
	quoted  bool
}

// quotable is what may stand before the quotes that begin an input of several lines.
var quotable = map[string]bool{"": true, "/system": true}

// add takes a line, and reports whether the input is whole.
func (g *gather) add(line string) (text string, whole bool) {
	const quote = `"""`
	if g.quoted {
		before, closed := strings.CutSuffix(strings.TrimRight(line, " "), quote)
		if !closed {
			g.lines = append(g.lines, line)
			return "", false
		}
		return g.take(before), true
	}
	if command, after, ok := strings.Cut(line, quote); ok && len(g.lines) == 0 && quotable[strings.TrimSpace(command)] {
		g.command = strings.TrimSpace(command)
		if before, closed := strings.CutSuffix(strings.TrimRight(after, " "), quote); closed {
			g.quoted = true
			return g.take(before), true
		}
		g.quoted = true
		if after != "" {
			g.lines = append(g.lines, after)
		}
		return "", false
	}
	if before, ok := strings.CutSuffix(line, `\`); ok {
		g.lines = append(g.lines, before)
		return "", false
	}
	return g.take(line), true
}

// open reports whether more lines are wanted.
func (g *gather) open() bool { return g.quoted || len(g.lines) > 0 }

func (g *gather) take(last string) string {
	lines := g.lines
	if last != "" || !g.quoted {
		lines = append(lines, last)
	}
	text := strings.Join(lines, "\n")
	if g.command != "" {
		text = g.command + ` "` + text + `"` // as one argument, which may be empty
	}
	*g = gather{}
	return text
}

// completions returns how a line may go on from its last word, and how much of it is there.
// The names that a command takes are asked for only where one is wanted.
func completions(line string, names map[string]func() []string) (endings []string, length int) {
	verb, arg, spaced := strings.Cut(line, " ")
	var words []string
	typed := line
	switch {
	case !strings.HasPrefix(line, "/"):
		return nil, 0
	case !spaced:
		for _, v := range chatVerbs {
			word := v.name
			if v.arg != "" {
				word += " "
			}
			words = append(words, word)
		}
	default:
		typed = arg
		if from := names[verb]; from != nil {
			words = from()
		}
	}
	for _, w := range words {
		if rest, ok := strings.CutPrefix(w, typed); ok && rest != "" {
			endings = append(endings, rest)
		}
	}
	return endings, len([]rune(typed))
}
