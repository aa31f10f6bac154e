package webapi

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// How lists and objects are written (OpenAPI 3.1, "style values"). With styleJSON they are written as JSON.
const (
	styleForm   = "form"
	styleSimple = "simple"
	styleSpace  = "spaceDelimited"
	stylePipe   = "pipeDelimited"
	styleDeep   = "deepObject"
	styleJSON   = "json"
)

// pair is a name and a value of a query.
type pair struct{ name, value string }

// pairs writes a value for a query.
func (p parameter) pairs(value any) []pair {
	if p.style == styleJSON {
		return []pair{{p.name, compact(value)}}
	}

	switch value := value.(type) {
	case []any:
		return p.list(value)
	case map[string]any:
		return p.object(value)
	default:
		return []pair{{p.name, scalar(value)}}
	}
}

func (p parameter) list(values []any) []pair {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = scalar(value)
	}

	if p.explode {
		pairs := make([]pair, len(texts))
		for i, text := range texts {
			pairs[i] = pair{p.name, text}
		}

		return pairs
	}

	between, known := map[string]string{styleSpace: " ", stylePipe: "|"}[p.style]
	if !known {
		between = ","
	}

	return []pair{{p.name, strings.Join(texts, between)}}
}

func (p parameter) object(values map[string]any) []pair {
	pairs, flat := []pair{}, []string{}

	for _, name := range slices.Sorted(maps.Keys(values)) {
		text := scalar(values[name])

		switch {
		case p.style == styleDeep:
			pairs = append(pairs, pair{p.name + "[" + name + "]", text})
		case p.explode:
			pairs = append(pairs, pair{name, text})
		default:
			flat = append(flat, name, text)
		}
	}

	if len(flat) > 0 {
		pairs = append(pairs, pair{p.name, strings.Join(flat, ",")})
	}

	return pairs
}

// line writes a value for a path or a header, where lists and objects are separated by commas.
func (p parameter) line(value any) string {
	if p.style == styleJSON {
		return compact(value)
	}

	switch value := value.(type) {
	case []any:
		texts := make([]string, len(value))
		for i, each := range value {
			texts[i] = scalar(each)
		}

		return strings.Join(texts, ",")
	case map[string]any:
		texts := []string{}

		for _, name := range slices.Sorted(maps.Keys(value)) {
			if p.explode {
				texts = append(texts, name+"="+scalar(value[name]))
			} else {
				texts = append(texts, name, scalar(value[name]))
			}
		}

		return strings.Join(texts, ",")
	default:
		return scalar(value)
	}
}

// scalar writes a value as a text; what is no scalar as JSON.
func scalar(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	case json.Number:
		return value.String()
	case bool:
		return strconv.FormatBool(value)
	default:
		return compact(value)
	}
}

// compact writes JSON. Values came from JSON, so they can be written.
func compact(value any) string {
	text := &strings.Builder{}
	encoder := json.NewEncoder(text)
	encoder.SetEscapeHTML(false)

	_ = encoder.Encode(value)

	return strings.TrimSuffix(text.String(), "\n")
}
