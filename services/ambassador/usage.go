package ambassador

import (
	"fmt"

	"github.com/tidwall/gjson"
)

// usage is what an answer cost, in tokens. Cached tokens are among the prompt's.
type usage struct {
	prompt, completion, cached int64
	known                      bool
}

func readUsage(value gjson.Result) usage {
	return usage{
		prompt:     value.Get("prompt_tokens").Int(),
		completion: value.Get("completion_tokens").Int(),
		cached:     value.Get("prompt_tokens_details.cached_tokens").Int(),
		known:      value.IsObject(),
	}
}

// estimate guesses what a provider did not say, from the sizes of the request and of the answer in bytes.
func estimate(prompt, completion int) usage {
	return usage{prompt: tokens(prompt), completion: tokens(completion)}
}

func tokens(size int) int64 { return int64((size + bytesPerToken - 1) / bytesPerToken) }

// raw is OpenAI's usage object.
func (u usage) raw() []byte {
	return fmt.Appendf(nil, `{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`,
		u.prompt, u.completion, u.prompt+u.completion)
}
