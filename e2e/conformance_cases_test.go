//go:build e2e && linux

package e2e_test

import (
	"strings"
)

// conformCase is one request; its name tells what is special about it.
type conformCase struct {
	name, method, path, body string
}

func (c conformCase) endpoint() string {
	path, _, _ := strings.Cut(c.path, "?")
	for _, missing := range []string{"/v1/models/"} {
		if strings.HasPrefix(path, missing) {
			path = missing + "{model}"
		}
	}
	return c.method + " " + path
}

// difference is a field that a node answers otherwise than Ollama, and why.
type difference struct {
	// path is the path of the requests; with a * at the end it is what the path begins with. says is
	// what the request's name begins with, field the field's name; with a * at the end likewise.
	path, says, field string
	why               string
}

func (d difference) covers(c conformCase, field string) bool {
	fits := func(pattern, s string) bool {
		if p, ok := strings.CutSuffix(pattern, "*"); ok {
			return strings.HasPrefix(s, p)
		}
		return pattern == s
	}
	return fits(d.path, c.path) && strings.HasPrefix(c.name, d.says) && fits(d.field, field)
}

// Why more than one field differs.
const (
	saysText       = "Ollama says it in plain text, a node in the interface's own shape"
	saysSeveral    = "Ollama gives one answer where several are wanted; a node gives them, as OpenAI does"
	saysOdds       = "a node tells the probabilities of a completion, as OpenAI does; Ollama does not"
	saysRole       = "Ollama hands any role to the model's template; a node refuses what is not system, user, assistant or tool"
	saysPath       = "the path of a file on the machine that has the model; a node does not tell, and names the model"
	saysOwner      = "Ollama says `library`, a node `mycoswarm`"
	saysNull       = "null, as at OpenAI; Ollama leaves it out"
	saysMost       = "Ollama takes no notice of `max_completion_tokens`; a node ends the answer there, as OpenAI does"
	saysStore      = "Ollama stores nothing; a node does, unless it is told not to, as OpenAI does"
	saysCut        = "an answer that was cut is `incomplete`, as at OpenAI, in its last event too; Ollama says `completed`."
	saysParts      = "a node tells where a summary of what was thought begins and ends, as OpenAI does, and its clients want; Ollama does not"
	saysThink      = "a node has the model not think; Ollama leaves that to the model"
	saysEmpty      = "empty, which Anthropic's clients want to be there"
	saysNames      = "a node tells what was thought by both of its names, as clients know one or the other; Ollama as `reasoning` alone"
	saysSigned     = "a node signs what was thought, with nothing, as Anthropic's clients want it to send it again; Ollama does not"
	saysStop       = "null, as at Anthropic; Ollama leaves it out"
	saysFitsClaude = "Ollama forgets the beginning in silence; a node refuses, as Anthropic does: 400, `prompt is too long`"
	saysFits       = "Ollama forgets the beginning in silence; a node refuses, as OpenAI does: 400, `context_length_exceeded`"
)

// allowed are all differences that there may be.
var allowed = []difference{
	{"*", "the wrong method", "content type", saysText},
	{"/v1/messages/count_tokens", "", "content type", saysText},
	{"/api/chat", "a role that is none", "HTTP status", saysRole},
	{"/api/chat", "a role that is none", "content type", saysRole},
	{"/api/chat", "an option of the wrong type", "HTTP status", "Ollama calls it a failure of its own: 500; a node says 400, and names the option"},
	{"/api/show", "", "details.parent_model", saysPath},
	{"/api/show", "", "modelfile", saysPath},
	{"/v1/models", "", "data[].owned_by", saysOwner},
	{"/v1/models/*", "", "owned_by", saysOwner},
	{"/v1/*", "", "error.type", "Ollama calls every failure that its engine tells an `api_error`; a node says `invalid_request_error`, as OpenAI does"},
	{"/v1/*", "", "error.code", "a node tells `model_not_found`, as OpenAI does"},
	{"/v1/*", "", "error.param", "a node names the field that is wrong, as OpenAI does"},
	{"/v1/*", "", "system_fingerprint", "Ollama says `fp_ollama`, a node `fp_mycoswarm`"},
	{"/v1/*", "", "choices[].logprobs", saysNull},
	{"/v1/chat/completions", "logprobs", "choices[].logprobs.refusal", saysNull},
	{"/v1/completions", "logprobs", "choices[].logprobs.*", saysOdds},
	{"/v1/chat/completions", "", "choices[].message.refusal", "null, which OpenAI's clients want to be there"},
	{"/v1/chat/completions", "max_completion_tokens", "choices[].message.content", saysMost},
	{"/v1/chat/completions", "", "choices[].message.content", "of an answer that only calls tools null, as at OpenAI, not an empty text"},
	{"/v1/chat/completions", "", "choices[].message.reasoning_content", saysNames},
	{"/v1/chat/completions", "a model that thinks, streamed", "choices[].delta.reasoning_content", saysNames},
	{"/v1/chat/completions", "", "choices[].delta*", "a node tells the role in the first piece only, and no empty text in the last, as OpenAI does"},
	{"/v1/chat/completions", "max_completion_tokens", "choices[].finish_reason", saysMost},
	{"/v1/chat/completions", "max_completion_tokens", "usage.*", saysMost},
	{"/v1/chat/completions", "n: 2", "choices[].*", saysSeveral},
	{"/v1/chat/completions", "n: 2", "usage.*", saysSeveral},
	{"/v1/completions", "several prompts", "HTTP status", "Ollama refuses several prompts: 400; a node answers each, as OpenAI does"},
	{"/v1/completions", "echo", "HTTP status", "Ollama takes no notice of `echo`; a node refuses: 400"},
	{"/v1/completions", "streamed, include_usage", "usage.*", "Ollama tells a usage of 0 with each piece; a node only the whole, at the end, as OpenAI does"},
	{"/v1/responses", saysLong, "HTTP status", saysFits},
	{"/v1/responses", "", "HTTP status", "what asks for an earlier answer that is not there, or has no input, is refused: 400. Ollama answers without"},
	{"/v1/chat/completions", saysLong, "HTTP status", saysFits},
	{"/v1/messages", saysLong, "HTTP status", saysFitsClaude},
	{"/v1/responses", "", "store", saysStore},
	{"/v1/responses", "", "response.store", saysStore},
	{"/v1/responses", "", "status", saysCut},
	{"/v1/responses", "", "incomplete_details*", saysCut},
	{"/v1/responses", "", "response.incomplete_details*", saysCut},
	{"/v1/responses", "", "response.status", saysCut},
	{"/v1/responses", "max_output_tokens", "events", saysCut},
	{"/v1/responses", "max_output_tokens", "type", saysCut},
	{"/v1/responses", "a model that thinks, streamed", "events", saysParts},
	{"/v1/responses", "a model that thinks, streamed", "type", saysParts},
	{"/v1/responses", "a model that thinks, streamed", "item_id", saysParts},
	{"/v1/responses", "a model that thinks, streamed", "output_index", saysParts},
	{"/v1/responses", "a model that thinks, streamed", "part.*", saysParts},
	{"/v1/responses", "a model that thinks, streamed", "sequence_number", saysParts},
	{"/v1/responses", "a model that thinks, streamed", "summary_index", saysParts},
	{"/v1/responses", "reasoning.effort", "reasoning.summary", saysNull},
	{"/v1/messages", "thinking: disabled", "content[].*", saysThink},
	{"/v1/messages", "thinking: disabled", "usage.*", saysThink},
	{"/v1/messages", "thinking", "content[].signature", saysEmpty},
	{"/v1/messages", "thinking", "content_block.signature", saysEmpty},
	{"/v1/messages", "thinking, streamed", "delta.signature", saysSigned},
	{"/v1/messages", "thinking, streamed", "delta.type", saysSigned},
	{"/v1/messages", "thinking, streamed", "events", saysSigned},
	{"/v1/messages", "thinking, streamed", "index", saysSigned},
	{"/v1/messages", "thinking, streamed", "type", saysSigned},
	{"/v1/messages", "", "stop_sequence", saysStop},
	{"/v1/messages", "", "delta.stop_sequence", saysStop},
	{"/v1/messages", "", "message.stop_reason", saysStop},
	{"/v1/messages", "", "message.stop_sequence", saysStop},
}

const (
	capital = `"What is the capital of France?"`
	cold    = `"options":{"temperature":0,"num_thread":1`
	city    = `{"type":"object","properties":{"city":{"type":"string","enum":["Paris"]}},"required":["city"]}`
	// wish is a format that makes of any answer the call of a tool.
	wish = `{"type":"object","properties":{"name":{"type":"string","enum":["look"]},"parameters":` + city + `},"required":["name","parameters"]}`
	look = `{"type":"function","function":{"name":"look","description":"looks","parameters":` + city + `}}`
	// saysLong names a request whose prompt is longer than the context, 256 tokens, and whose answer has no room beside it.
	saysLong = "longer than the context"
	// picture is one dot.
	picture = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

// longPrompt is JSON text that no model of the test has room for.
var longPrompt = strings.Repeat("What is the capital of France? ", 100)

// conformance are all requests, by endpoint.
func conformance() (out []conformCase) {
	add := func(method, path string, cases ...[2]string) {
		for _, c := range cases {
			out = append(out, conformCase{c[0], method, path, c[1]})
		}
	}
	add("GET", "/", [2]string{"as it is"})
	add("HEAD", "/", [2]string{"as it is"})
	add("GET", "/api/version", [2]string{"as it is"})
	chat := func(model, more string) string {
		return `{"model":"` + model + `","messages":[{"role":"user","content":` + capital + `}],` + more + `}`
	}
	add("POST", "/api/chat",
		[2]string{"streamed", chat("tinylm", cold+"}")},
		[2]string{saysLong, `{"model":"tinylm","messages":[{"role":"user","content":"` + longPrompt + `"}],"stream":false,` + cold + `,"num_predict":20}}`},
		[2]string{"at once", chat("tinylm", cold+`},"stream":false`)},
		[2]string{"num_predict", chat("tinylm", cold+`,"num_predict":3}`)},
		[2]string{"stop, a list", chat("tinylm", cold+`,"stop":["France"]}`)},
		[2]string{"seed, top_k, top_p", chat("tinylm", cold+`,"seed":7,"top_k":1,"top_p":0.5}`)},
		[2]string{"num_ctx, keep_alive, truncate, shift", chat("tinylm", cold+`,"num_ctx":128},"keep_alive":"5m","truncate":true,"shift":true`)},
		[2]string{"format: json", chat("tinylm", cold+`,"num_predict":20},"format":"json"`)},
		[2]string{"format: a schema", chat("tinylm", cold+`,"num_predict":20},"format":`+city)},
		[2]string{"system, assistant", `{"model":"tinylm","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello."},{"role":"user","content":` + capital + `}],` + cold + `}}`},
		[2]string{"tools, streamed", chat("tinytools", cold+`},"tools":[`+look+`],"format":`+wish)},
		[2]string{"tools, at once", chat("tinytools", cold+`},"stream":false,"tools":[`+look+`],"format":`+wish)},
		[2]string{"the result of a tool", `{"model":"tinytools","messages":[{"role":"user","content":"Where?"},{"role":"assistant","content":"","tool_calls":[{"function":{"name":"look","arguments":{"city":"Paris"}}}]},{"role":"tool","tool_name":"look","content":` + capital + `}],` + cold + `,"num_predict":5}}`},
		[2]string{"tools, to a model without", chat("tinylm", cold+`},"tools":[`+look+`]`)},
		[2]string{"think, streamed", chat("tinythinks", cold+`,"num_predict":6},"think":true`)},
		[2]string{"think, at once", chat("tinythinks", cold+`,"num_predict":6},"think":true,"stream":false`)},
		[2]string{"think: false", chat("tinythinks", cold+`,"num_predict":6},"think":false`)},
		[2]string{"think: high, to a model without levels", chat("tinythinks", cold+`,"num_predict":6},"think":"high"`)},
		[2]string{"think, to a model without", chat("tinylm", cold+`},"think":true`)},
		[2]string{"images, to a model without", `{"model":"tinylm","messages":[{"role":"user","content":` + capital + `,"images":["` + picture + `"]}],` + cold + `}}`},
		[2]string{"logprobs", chat("tinylm", cold+`,"num_predict":2},"logprobs":true,"top_logprobs":2,"stream":false`)},
		[2]string{"logprobs, streamed", chat("tinylm", cold+`,"num_predict":4},"logprobs":true,"top_logprobs":2`)},
		[2]string{"logprobs, stop", chat("tinylm", cold+`,"stop":["France"]},"logprobs":true`)},
		[2]string{"logprobs, tools", chat("tinytools", cold+`},"logprobs":true,"tools":[`+look+`],"format":`+wish)},
		[2]string{"logprobs, think", chat("tinythinks", cold+`,"num_predict":6},"think":true,"logprobs":true`)},
		[2]string{"top_logprobs alone", chat("tinylm", cold+`,"num_predict":2},"top_logprobs":2`)},
		[2]string{"top_logprobs: 21", chat("tinylm", cold+`},"logprobs":true,"top_logprobs":21`)},
		[2]string{"no messages", `{"model":"tinylm"}`},
		[2]string{"no messages, keep_alive 0", `{"model":"tinytools","keep_alive":0}`},
		[2]string{"a role that is none", `{"model":"tinylm","messages":[{"role":"cook","content":"x"}],` + cold + `,"num_predict":2}}`},
		[2]string{"an option of the wrong type", chat("tinylm", `"options":{"temperature":"hot"}`)},
		[2]string{"no model", `{"messages":[{"role":"user","content":"x"}]}`},
		[2]string{"a missing model", chat("missing", cold+"}")},
		[2]string{"malformed", `{"model":`},
		[2]string{"no body", ``},
	)
	add("GET", "/api/chat", [2]string{"the wrong method", ""})
	generate := func(more string) string { return `{"model":"tinylm","prompt":` + capital + `,` + more + `}` }
	add("POST", "/api/generate",
		[2]string{"streamed", generate(cold + "}")},
		[2]string{"at once", generate(cold + `},"stream":false`)},
		[2]string{"system", generate(cold + `},"system":"Be brief."`)},
		[2]string{"template", generate(cold + `},"template":"<|user|>{{ .Prompt }}<|assistant|>"`)},
		[2]string{"raw", `{"model":"tinylm","prompt":"<|user|>What is the capital of France?<|assistant|>","raw":true,` + cold + `}}`},
		[2]string{"context", generate(cold + `,"num_predict":4},"context":[5,6,7]`)},
		[2]string{"stop, num_predict", generate(cold + `,"num_predict":9,"stop":["France"]}`)},
		[2]string{"format: a schema", generate(cold + `,"num_predict":20},"format":` + city)},
		[2]string{"think", `{"model":"tinythinks","prompt":` + capital + `,"think":true,` + cold + `,"num_predict":6}}`},
		[2]string{"suffix, to a model without", generate(cold + `},"suffix":"."`)},
		[2]string{"images, to a model without", generate(cold + `},"images":["` + picture + `"]`)},
		[2]string{"logprobs", generate(cold + `,"num_predict":2},"logprobs":true,"stream":false`)},
		[2]string{"logprobs, streamed", generate(cold + `,"num_predict":4},"logprobs":true,"top_logprobs":3`)},
		[2]string{"no prompt", `{"model":"tinylm"}`},
		[2]string{"no prompt, keep_alive 0", `{"model":"tinythinks","keep_alive":0}`},
		[2]string{"a missing model", `{"model":"missing","prompt":"x"}`},
		[2]string{"malformed", `[]`},
		[2]string{"no body", ``},
	)
	add("POST", "/api/embed",
		[2]string{"a text", `{"model":"tinylm","input":"Paris"}`},
		[2]string{"a list", `{"model":"tinylm","input":["Paris","Rome"],"truncate":true}`},
		[2]string{"dimensions", `{"model":"tinylm","input":"Paris","dimensions":8}`},
		[2]string{"no input", `{"model":"tinylm"}`},
		[2]string{"an input of the wrong type", `{"model":"tinylm","input":7}`},
		[2]string{"a missing model", `{"model":"missing","input":"x"}`},
		[2]string{"malformed", `{`},
	)
	add("POST", "/api/embeddings",
		[2]string{"a text", `{"model":"tinylm","prompt":"Paris"}`},
		[2]string{"no text", `{"model":"tinylm","prompt":""}`},
		[2]string{"a missing model", `{"model":"missing","prompt":"x"}`},
	)
	add("GET", "/api/tags", [2]string{"as it is"})
	add("POST", "/api/tags", [2]string{"the wrong method", ""})
	add("GET", "/api/ps", [2]string{"as it is"})
	add("POST", "/api/show",
		[2]string{"a model", `{"model":"tinylm"}`},
		[2]string{"by its older name", `{"name":"tinylm"}`},
		[2]string{"verbose", `{"model":"tinylm","verbose":true}`},
		[2]string{"a model with tools", `{"model":"tinytools"}`},
		[2]string{"a missing model", `{"model":"missing"}`},
		[2]string{"no model", `{}`},
	)
	return append(out, conformanceV1()...)
}

// conformanceV1 are the requests of the interfaces that Ollama took over from others.
func conformanceV1() (out []conformCase) {
	add := func(method, path string, cases ...[2]string) {
		for _, c := range cases {
			out = append(out, conformCase{c[0], method, path, c[1]})
		}
	}
	add("GET", "/v1/models", [2]string{"as it is"})
	add("DELETE", "/v1/models", [2]string{"the wrong method", ""})
	add("GET", "/v1/models/tinylm", [2]string{"a model"})
	add("GET", "/v1/models/missing", [2]string{"a missing model"})
	chat := func(model, more string) string {
		return `{"model":"` + model + `","messages":[{"role":"user","content":` + capital + `}],"temperature":0` + more + `}`
	}
	format := func(schema string) string {
		return `,"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":` + schema + `}}`
	}
	image := func(url string) string {
		return `{"model":"tinylm","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"` + url + `"}}]}],"temperature":0}`
	}
	add("POST", "/v1/chat/completions",
		[2]string{"at once", chat("tinylm", ``)},
		[2]string{"streamed", chat("tinylm", `,"stream":true`)},
		[2]string{"streamed, include_usage", chat("tinylm", `,"stream":true,"stream_options":{"include_usage":true}`)},
		[2]string{"max_tokens", chat("tinylm", `,"max_tokens":3`)},
		[2]string{saysLong, `{"model":"tinylm","max_tokens":20,"messages":[{"role":"user","content":"` + longPrompt + `"}],"temperature":0}`},
		[2]string{"max_completion_tokens", chat("tinylm", `,"max_completion_tokens":3`)},
		[2]string{"stop, a text", chat("tinylm", `,"stop":"France"`)},
		[2]string{"stop, a list; seed, top_p", chat("tinylm", `,"stop":["France"],"seed":7,"top_p":0.5,"presence_penalty":0,"frequency_penalty":0`)},
		[2]string{"n: 1", chat("tinylm", `,"n":1`)},
		[2]string{"n: 2", chat("tinylm", `,"n":2`)},
		[2]string{"parts", `{"model":"tinylm","messages":[{"role":"user","content":[{"type":"text","text":` + capital + `}]}],"temperature":0}`},
		[2]string{"response_format: json_object", chat("tinylm", `,"max_tokens":20,"response_format":{"type":"json_object"}`)},
		[2]string{"response_format: a schema", chat("tinylm", `,"max_tokens":20`+format(city))},
		[2]string{"tools, at once", chat("tinytools", `,"tools":[`+look+`]`+format(wish))},
		[2]string{"tools, streamed", chat("tinytools", `,"stream":true,"tools":[`+look+`]`+format(wish))},
		[2]string{"the result of a tool", `{"model":"tinytools","messages":[{"role":"user","content":"Where?"},{"role":"assistant","content":"","tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":"{\"city\":\"Paris\"}"}}]},{"role":"tool","tool_call_id":"c1","content":` + capital + `}],"temperature":0,"max_tokens":5}`},
		[2]string{"tools, to a model without", chat("tinylm", `,"tools":[`+look+`]`)},
		[2]string{"a model that thinks", chat("tinythinks", `,"max_tokens":6`)},
		[2]string{"a model that thinks, streamed", chat("tinythinks", `,"max_tokens":6,"stream":true`)},
		[2]string{"reasoning_effort: none", chat("tinythinks", `,"max_tokens":6,"reasoning_effort":"none"`)},
		[2]string{"reasoning_effort: high, to a model without levels", chat("tinythinks", `,"max_tokens":6,"reasoning_effort":"high"`)},
		[2]string{"reasoning_effort: huge", chat("tinylm", `,"reasoning_effort":"huge"`)},
		[2]string{"an image, to a model without", image("data:image/png;base64," + picture)},
		[2]string{"the address of an image", image("http://192.0.2.1/x.png")},
		[2]string{"logprobs", chat("tinylm", `,"max_tokens":2,"logprobs":true,"top_logprobs":2`)},
		[2]string{"logprobs, streamed", chat("tinylm", `,"max_tokens":4,"logprobs":true,"top_logprobs":2,"stream":true`)},
		[2]string{"no messages", `{"model":"tinylm","messages":[]}`},
		[2]string{"no model", `{"messages":[{"role":"user","content":"x"}]}`},
		[2]string{"a missing model", chat("missing", ``)},
		[2]string{"a missing model, streamed", chat("missing", `,"stream":true`)},
		[2]string{"malformed", `{"model":`},
		[2]string{"no body", ``},
	)
	add("GET", "/v1/chat/completions", [2]string{"the wrong method", ""})
	complete := func(more string) string {
		return `{"model":"tinylm","prompt":` + capital + `,"temperature":0` + more + `}`
	}
	add("POST", "/v1/completions",
		[2]string{"at once", complete(``)},
		[2]string{"streamed", complete(`,"stream":true`)},
		[2]string{"streamed, include_usage", complete(`,"stream":true,"stream_options":{"include_usage":true}`)},
		[2]string{"max_tokens, seed, top_p", complete(`,"max_tokens":3,"seed":7,"top_p":0.5`)},
		[2]string{"stop", complete(`,"stop":["France"]`)},
		[2]string{"suffix, to a model without", complete(`,"suffix":"."`)},
		[2]string{"logprobs", complete(`,"max_tokens":3,"logprobs":2`)},
		[2]string{"logprobs, streamed", complete(`,"max_tokens":3,"logprobs":2,"stream":true`)},
		[2]string{"echo", complete(`,"echo":true`)},
		[2]string{"several prompts", `{"model":"tinylm","prompt":["a","b"],"temperature":0}`},
		[2]string{"a missing model", `{"model":"missing","prompt":"x"}`},
	)
	add("POST", "/v1/embeddings",
		[2]string{"a text", `{"model":"tinylm","input":"Paris"}`},
		[2]string{"a list, base64", `{"model":"tinylm","input":["Paris","Rome"],"encoding_format":"base64"}`},
		[2]string{"dimensions", `{"model":"tinylm","input":"Paris","dimensions":8}`},
		[2]string{"an unknown encoding_format", `{"model":"tinylm","input":"Paris","encoding_format":"hex"}`},
		[2]string{"no input", `{"model":"tinylm"}`},
		[2]string{"a missing model", `{"model":"missing","input":"x"}`},
	)
	return append(out, conformanceNew()...)
}

// conformanceNew are the requests of responses and messages.
func conformanceNew() (out []conformCase) {
	add := func(method, path string, cases ...[2]string) {
		for _, c := range cases {
			out = append(out, conformCase{c[0], method, path, c[1]})
		}
	}
	respond := func(model, more string) string {
		return `{"model":"` + model + `","input":` + capital + `,"temperature":0` + more + `}`
	}
	format := func(schema string) string {
		return `,"text":{"format":{"type":"json_schema","name":"x","schema":` + schema + `}}`
	}
	tool := `,"tools":[{"type":"function","name":"look","description":"looks","parameters":` + city + `}]`
	add("POST", "/v1/responses",
		[2]string{"at once", respond("tinylm", ``)},
		[2]string{"streamed", respond("tinylm", `,"stream":true`)},
		[2]string{"instructions, items", `{"model":"tinylm","instructions":"Be brief.","input":[{"role":"user","content":[{"type":"input_text","text":` + capital + `}]}],"temperature":0,"top_p":1}`},
		[2]string{"max_output_tokens", respond("tinylm", `,"max_output_tokens":3`)},
		[2]string{saysLong, `{"model":"tinylm","max_output_tokens":20,"input":"` + longPrompt + `","temperature":0}`},
		[2]string{"truncation: auto", `{"model":"tinylm","max_output_tokens":20,"input":"` + longPrompt + `","temperature":0,"truncation":"auto"}`},
		[2]string{"max_output_tokens, streamed", respond("tinylm", `,"max_output_tokens":3,"stream":true`)},
		[2]string{"text.format: a schema", respond("tinylm", format(city))},
		[2]string{"tools, at once", respond("tinytools", tool+format(wish))},
		[2]string{"tools, streamed", respond("tinytools", tool+format(wish)+`,"stream":true`)},
		[2]string{"the result of a tool", `{"model":"tinytools","input":[{"role":"user","content":"Where?"},{"type":"function_call","call_id":"c1","name":"look","arguments":"{\"city\":\"Paris\"}"},{"type":"function_call_output","call_id":"c1","output":` + capital + `}],"temperature":0,"max_output_tokens":5}`},
		[2]string{"tools, to a model without", respond("tinylm", tool)},
		[2]string{"a model that thinks", respond("tinythinks", `,"max_output_tokens":6`)},
		[2]string{"a model that thinks, streamed", respond("tinythinks", `,"max_output_tokens":6,"stream":true`)},
		[2]string{"reasoning.effort", respond("tinythinks", `,"max_output_tokens":6,"reasoning":{"effort":"medium"}`)},
		[2]string{"reasoning.effort, to a model that does not think", respond("tinylm", `,"reasoning":{"effort":"medium"}`)},
		[2]string{"store, metadata", respond("tinylm", `,"store":true,"metadata":{"a":"b"}`)},
		[2]string{"previous_response_id", respond("tinylm", `,"previous_response_id":"resp_1"`)},
		[2]string{"an unknown item", `{"model":"tinylm","input":[{"type":"item_reference","id":"x"}]}`},
		[2]string{"the address of an image", `{"model":"tinylm","input":[{"role":"user","content":[{"type":"input_image","image_url":"http://192.0.2.1/x.png"}]}]}`},
		[2]string{"no input", `{"model":"tinylm"}`},
		[2]string{"a missing model", respond("missing", ``)},
		[2]string{"malformed", `{"model":`},
	)
	add("GET", "/v1/responses", [2]string{"the wrong method", ""})
	message := func(model, more string) string {
		return `{"model":"` + model + `","max_tokens":40,"messages":[{"role":"user","content":` + capital + `}],"temperature":0` + more + `}`
	}
	use := `,"tools":[{"name":"look","description":"looks","input_schema":` + city + `}]`
	add("POST", "/v1/messages",
		[2]string{"at once", message("tinylm", ``)},
		[2]string{"streamed", message("tinylm", `,"stream":true`)},
		[2]string{"system, blocks", `{"model":"tinylm","max_tokens":40,"system":[{"type":"text","text":"Be brief."}],"messages":[{"role":"user","content":[{"type":"text","text":` + capital + `}]}],"temperature":0}`},
		[2]string{"max_tokens", `{"model":"tinylm","max_tokens":3,"messages":[{"role":"user","content":` + capital + `}],"temperature":0}`},
		[2]string{saysLong, `{"model":"tinylm","max_tokens":20,"messages":[{"role":"user","content":"` + longPrompt + `"}],"temperature":0}`},
		[2]string{"stop_sequences, top_p, top_k", message("tinylm", `,"stop_sequences":["France"],"top_p":0.5,"top_k":1`)},
		[2]string{"tools", message("tinytools", use)},
		[2]string{"the result of a tool", `{"model":"tinytools","max_tokens":40,"messages":[{"role":"user","content":"Where?"},{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"look","input":{"city":"Paris"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":` + capital + `}]}],"temperature":0}`},
		[2]string{"tools, to a model without", message("tinylm", use)},
		[2]string{"thinking", `{"model":"tinythinks","max_tokens":6,"thinking":{"type":"enabled","budget_tokens":1024},"messages":[{"role":"user","content":` + capital + `}],"temperature":0}`},
		[2]string{"thinking, streamed", `{"model":"tinythinks","max_tokens":6,"stream":true,"thinking":{"type":"enabled","budget_tokens":1024},"messages":[{"role":"user","content":` + capital + `}],"temperature":0}`},
		[2]string{"thinking: disabled", `{"model":"tinythinks","max_tokens":6,"thinking":{"type":"disabled"},"messages":[{"role":"user","content":` + capital + `}],"temperature":0}`},
		[2]string{"thinking, to a model without", message("tinylm", `,"thinking":{"type":"enabled","budget_tokens":1024}`)},
		[2]string{"an image, to a model without", `{"model":"tinylm","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + picture + `"}}]}],"temperature":0}`},
		[2]string{"the address of an image", `{"model":"tinylm","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"http://192.0.2.1/x.png"}}]}]}`},
		[2]string{"no max_tokens", `{"model":"tinylm","messages":[{"role":"user","content":"x"}]}`},
		[2]string{"no messages", `{"model":"tinylm","max_tokens":9,"messages":[]}`},
		[2]string{"no model", `{"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`},
		[2]string{"a missing model", message("missing", ``)},
		[2]string{"a missing model, streamed", message("missing", `,"stream":true`)},
		[2]string{"malformed", `{"model":`},
	)
	add("GET", "/v1/messages", [2]string{"the wrong method", ""})
	add("POST", "/v1/messages/count_tokens", [2]string{"as it is", message("tinylm", ``)})
	return out
}
