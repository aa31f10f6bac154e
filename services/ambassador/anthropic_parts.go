package ambassador

import (
	"fmt"
	"strings"

	"github.com/tidwall/gjson"
)

// blockSource is where an image or a document is.
type blockSource struct {
	Type      string `json:"type"`
	MediaType string `json:"media_type,omitempty"`
	Data      string `json:"data,omitempty"`
	URL       string `json:"url,omitempty"`
}

// readParts translates the content of a message. Empty texts are left out: the Messages API refuses them.
func readParts(field string, content gjson.Result) ([]any, error) {
	switch {
	case content.Type == gjson.String:
		return textPart(content.Str, nil), nil
	case !content.IsArray():
		return nil, nil
	}

	var parts []any

	for i, part := range content.Array() {
		read, err := readPart(fmt.Sprintf("%s[%d]", field, i), part)
		if err != nil {
			return nil, err
		}

		parts = append(parts, read...)
	}

	return parts, nil
}

func textPart(text string, cache []byte) []any {
	if text == "" {
		return nil
	}

	return []any{block{Type: "text", Text: text, CacheControl: cache}}
}

func readPart(field string, part gjson.Result) ([]any, error) {
	made := block{CacheControl: cacheControl(part)}

	switch kind := part.Get("type").String(); kind {
	case "text":
		return textPart(part.Get("text").String(), made.CacheControl), nil
	case "refusal":
		return textPart(part.Get("refusal").String(), made.CacheControl), nil
	case "image_url":
		made.Type, made.Source = "image", sourceOf(part.Get("image_url.url").String())
		if made.Source == nil {
			return nil, refuse(field+".image_url.url", "must be an https URL or a base64 data URL")
		}
	case "file":
		made.Type, made.Title, made.Source = "document", part.Get("file.filename").String(), dataOf(part.Get("file.file_data").String())
		if made.Source == nil {
			return nil, refuse(field+".file.file_data", "must be a base64 data URL")
		}
	default:
		return nil, refuse(field+".type", "%q is not possible with Anthropic's API; text, image_url and file are", kind)
	}

	return []any{made}, nil
}

// sourceOf reads an image's URL; nil if it is none. The provider fetches what is not in the URL itself.
func sourceOf(url string) *blockSource {
	if strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://") {
		return &blockSource{Type: "url", URL: url}
	}

	return dataOf(url)
}

// dataOf reads data:image/png;base64,...
func dataOf(url string) *blockSource {
	rest, ok := strings.CutPrefix(url, "data:")
	header, data, found := strings.Cut(rest, ",")
	media, parameters, _ := strings.Cut(header, ";")

	if !ok || !found || media == "" || !strings.HasSuffix(";"+parameters, ";base64") {
		return nil
	}

	return &blockSource{Type: "base64", MediaType: media, Data: data}
}
