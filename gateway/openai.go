package gateway

import "github.com/mycoswarm/mycoswarm/bus"

// openAIDialect is OpenAI's interface: https://platform.openai.com/docs/api-reference
var openAIDialect = &dialect{prefix: "/v1/", failure: func(status int, e *bus.Error) any {
	return map[string]any{"error": map[string]any{"message": sentence(e), "type": openAIType(status), "param": nil, "code": e.Code}}
}}

var openAIRoutes = []route{}

// openAIType is the kind of an error by its status.
func openAIType(status int) string {
	switch {
	case status == 401 || status == 403:
		return "authentication_error"
	case status == 404:
		return "not_found_error"
	case status == 429:
		return "rate_limit_error"
	case status < 500:
		return "invalid_request_error"
	}
	return "api_error"
}
