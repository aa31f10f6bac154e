package llmsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// refusal is the answer of requests that meet the fault "refuse".
const refusal = "I'm sorry, but I can't help with that request."

// answer is a text for the user: what the calls came to, else small talk.
func (p *planner) answer() string {
	reports := []string{}

	for _, done := range p.turn.done {
		if !strings.HasPrefix(done.name, handoffPrefix) && done.answered {
			reports = append(reports, report(done))
		}
	}

	if len(reports) > 0 {
		return strings.Join(append(reports, p.undone()...), " ") + " " + p.draw.pick("closing",
			"Is there anything else that I can do for you?", "Let me know if you need anything else.",
			"Tell me if there is more to do.")
	}

	if about := p.chatter(); about != "" {
		return about
	}

	return p.draw.pick("opening", "I understand.", "Thank you for your message.", "Got it.") + " You wrote about " +
		newFiller(p.turn, p.now, "", candidate{}).query() + ". " + p.abilities()
}

// undone says why something that was asked for did not happen.
func (p *planner) undone() []string {
	reasons := []string{}

	for _, candidate := range p.own {
		_, wants := candidate.asked(p.turn.words)
		if candidate.acting && wants && candidate.score(p.turn.words) >= enough && !p.turn.called(candidate.Name) {
			reasons = append(reasons, fmt.Sprintf("I did not go on to %s, because I found nothing that it clearly applies to.",
				humanise(candidate)))
		}
	}

	return reasons
}

// chatter answers what needs no knowledge; "" if there is more to it.
func (p *planner) chatter() string {
	words := split(p.turn.text)

	switch {
	case len(p.turn.words) > 0:
		return ""
	case slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(word, "thank") }):
		return p.draw.pick("thanks", "You're welcome!", "My pleasure.", "Glad to help.")
	case slices.ContainsFunc(words, func(word string) bool { return word == "bye" || word == "goodbye" }):
		return "Goodbye!"
	case slices.ContainsFunc(words, func(word string) bool { return word == "what" || word == "how" || word == "who" }):
		return p.abilities()
	default:
		return p.draw.pick("hello", "Hello!", "Hi there!", "Good to hear from you.") + " " + p.abilities()
	}
}

// abilities says what this agent can do.
func (p *planner) abilities() string {
	can := make([]string, 0, len(p.own))
	for _, candidate := range p.own {
		can = append(can, humanise(candidate))
	}

	names := make([]string, 0, len(p.handoffs))
	for _, other := range p.handoffs {
		names = append(names, strings.TrimPrefix(other.Name, handoffPrefix))
	}

	switch {
	case len(can) > 0 && len(names) > 0:
		return "I can " + enumerate(can, "and") + ", and pass you on to " + enumerate(names, "or") + "."
	case len(can) > 0:
		return "I can " + enumerate(can, "and") + "."
	case len(names) > 0:
		return "I can pass you on to " + enumerate(names, "or") + "."
	default:
		return p.draw.pick("how", "How can I help you?", "What can I do for you?", "Tell me more, please.")
	}
}

// humanise is what a tool does in words: billing_list_invoices is "list invoices".
func humanise(candidate candidate) string {
	words := split(candidate.Name)

	for at, word := range words {
		if candidate.verb != "" && stem(word) == candidate.verb {
			return strings.Join(words[at:], " ")
		}
	}

	return "use the " + strings.Join(words, " ")
}

func enumerate(items []string, last string) string {
	switch len(items) {
	case 0:
		return ""
	case 1:
		return items[0]
	default:
		return strings.Join(items[:len(items)-1], ", ") + " " + last + " " + items[len(items)-1]
	}
}

// report is one or two sentences about what a call came to.
func report(done done) string {
	what := humanise(newCandidate(function{Name: done.name}))
	result := strings.TrimSpace(done.result)

	var value any

	isJSON := json.Unmarshal([]byte(result), &value) == nil

	switch {
	case failed(result):
		return fmt.Sprintf("I could not %s: %s", what, sentence(reason(result, value)))
	case result == "":
		return fmt.Sprintf("I did %s, with no result.", what)
	case !isJSON:
		return fmt.Sprintf("I did %s: %s", what, sentence(clip(result, 300)))
	default:
		return fmt.Sprintf("I did %s: %s", what, sentence(describe(value)))
	}
}

var failureWords = []string{
	"error", "rejected", "denied", "declined", "failed", "not allowed", "did not take effect", "refused", "timed out", "timeout",
}

// failed reports whether a tool's result says that it did not work.
func failed(result string) bool {
	var object map[string]any
	if json.Unmarshal([]byte(result), &object) == nil {
		for _, key := range []string{"error", "isError", "is_error"} {
			if value, found := object[key]; found && value != nil && value != false && value != "" {
				return true
			}
		}

		status, _ := object["status"].(string)
		outcome, _ := object["outcome"].(string)
		result = status + " " + outcome
	}

	opening := strings.ToLower(clip(result, 160))

	return slices.ContainsFunc(failureWords, func(word string) bool { return strings.Contains(opening, word) }) &&
		!strings.HasPrefix(strings.TrimSpace(result), "[")
}

func reason(result string, value any) string {
	object, _ := value.(map[string]any)

	switch problem := object["error"].(type) {
	case string:
		return clip(problem, 300)
	case map[string]any:
		if text, isText := problem["message"].(string); isText {
			return clip(text, 300)
		}
	}

	return clip(result, 300)
}

// describe puts a JSON value into words.
func describe(value any) string {
	switch value := value.(type) {
	case []any:
		return describeList("entries", value)
	case map[string]any:
		parts := []string{}

		for _, key := range slices.Sorted(maps.Keys(value)) {
			if list, isList := value[key].([]any); isList {
				parts = append(parts, describeList(strings.Join(split(key), " "), list))
			}
		}

		if len(parts) > 0 {
			return strings.Join(parts, "; ")
		}

		return describeObject(value, 8)
	default:
		return fmt.Sprint(value)
	}
}

func describeList(name string, list []any) string {
	if len(list) == 0 {
		return "there are no " + name
	}

	items := []string{}

	for i, item := range list {
		if i == 5 {
			items = append(items, fmt.Sprintf("and %d more", len(list)-i))

			break
		}

		if object, isObject := item.(map[string]any); isObject {
			items = append(items, describeObject(object, 5))
		} else {
			items = append(items, fmt.Sprint(item))
		}
	}

	return fmt.Sprintf("%d %s: %s", len(list), name, strings.Join(items, "; "))
}

// describeObject names an object's plain fields, ids first.
func describeObject(object map[string]any, most int) string {
	keys := slices.Sorted(maps.Keys(object))
	slices.SortStableFunc(keys, func(a, b string) int { return rank(a) - rank(b) })

	parts := []string{}

	for _, key := range keys {
		if text := fmt.Sprint(object[key]); scalar(object[key]) && text != "" && len(parts) < most {
			parts = append(parts, strings.Join(split(key), " ")+" "+clip(text, 80))
		}
	}

	return strings.Join(parts, ", ")
}

func rank(key string) int {
	switch {
	case key == "id" || strings.HasSuffix(key, "_id"):
		return 0
	case key == "status" || strings.HasPrefix(key, "duplicate"):
		return 1
	default:
		return 2
	}
}

// sentence ends a text with a full stop.
func sentence(text string) string {
	if text == "" || strings.ContainsRune(".!?", rune(text[len(text)-1])) {
		return text
	}

	return text + "."
}

// clip shortens a text to some bytes, at a character.
func clip(text string, most int) string {
	if len(text) <= most || most < 0 {
		return text
	}

	const ellipsis = "…"
	if most < len(ellipsis) {
		return ""
	}

	for at := most - len(ellipsis); at >= 0; at-- {
		if text[at]&0xC0 != 0x80 {
			return text[:at] + ellipsis
		}
	}

	return ""
}

// fit makes a text exactly so many words long: cut, or drawn out.
func fit(text string, words int, draw draw) string {
	if words <= 0 {
		return text
	}

	have := strings.Fields(text)
	for round := 0; len(have) < words; round++ {
		have = append(have, strings.Fields(draw.pick(fmt.Sprint("filler", round),
			"Let me add some detail to that.", "There is a little more to say about it.", "To put it in other words:",
			"As a matter of fact, this is only a simulation.", "I hope that this is of use to you."))...)
	}

	return strings.Join(have[:words], " ")
}
