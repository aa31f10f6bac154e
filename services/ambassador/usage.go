package ambassador

import (
	"fmt"

	"github.com/tidwall/gjson"
)

// maxTokens bounds what is taken for a number of tokens, so that sums of them can't overflow.
const maxTokens = 1 << 40

// usage is what an answer cost, in tokens. Cached tokens, read or written, are among the prompt's, and reasoning ones
// among the completion's.
type usage struct {
	prompt, completion, cached int64
	// written were put into the provider's cache, longer of them for longer than usual, at a higher price.
	written, longer int64
	reasoning       int64
	// fresh is the prompt without what the cache had to do with, where a provider counts it so.
	fresh int64
	known bool
}

func readUsage(value gjson.Result) usage {
	return usage{
		prompt:     count(value, "prompt_tokens"),
		completion: count(value, "completion_tokens"),
		cached:     count(value, "prompt_tokens_details.cached_tokens"),
		written:    count(value, "prompt_tokens_details.cache_write_tokens"),
		longer:     count(value, "prompt_tokens_details.cache_write_1h_tokens"),
		reasoning:  count(value, "completion_tokens_details.reasoning_tokens"),
		known:      value.IsObject(),
	}
}

// count reads a number of tokens; what is no such number counts as none.
func count(value gjson.Result, name string) int64 {
	return min(max(value.Get(name).Int(), 0), maxTokens)
}

// estimate guesses what a provider did not say, from the sizes of the request and of the answer in bytes.
func estimate(prompt, completion int) usage {
	return usage{prompt: tokens(prompt), completion: tokens(completion)}
}

func tokens(size int) int64 { return int64((size + bytesPerToken - 1) / bytesPerToken) }

// raw is OpenAI's usage object. Details are there if there is something to tell.
func (u usage) raw() []byte {
	raw := fmt.Appendf(nil, `{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d`,
		u.prompt, u.completion, u.prompt+u.completion)

	if u.cached+u.written > 0 {
		raw = fmt.Appendf(raw, `,"prompt_tokens_details":{"cached_tokens":%d`, u.cached)
		if u.written > 0 {
			raw = fmt.Appendf(raw, `,"cache_write_tokens":%d,"cache_write_1h_tokens":%d`, u.written, u.longer)
		}

		raw = append(raw, '}')
	}

	if u.reasoning > 0 {
		raw = fmt.Appendf(raw, `,"completion_tokens_details":{"reasoning_tokens":%d}`, u.reasoning)
	}

	return append(raw, '}')
}
