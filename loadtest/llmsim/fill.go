package llmsim

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// filled are a call's arguments.
type filled struct {
	arguments map[string]any
	// known: nothing that is required had to be made up.
	known bool
	// bonus is for an id that the message names and the tool takes: such a tool beats one that lists.
	bonus float64
}

// filler finds arguments for one candidate.
type filler struct {
	candidate candidate
	turn      turn
	now       time.Time
	said      values
	record    record
	bonus     float64
}

func newFiller(turn turn, now time.Time, prompt string, candidate candidate) *filler {
	now = today(prompt, now)
	made := &filler{candidate: candidate, turn: turn, now: now, said: valuesOf(turn.text, now)}
	made.record = made.choose()

	return made
}

// choose picks the record to act on: the one that suits best and has what the tool needs; the first of equals.
func (f *filler) choose() record {
	best, most, fits := record{}, math.Inf(-1), false
	days := f.days()
	needed := f.required()
	doubled := slices.ContainsFunc(f.turn.words, func(word keyword) bool {
		return doubles[word.stem] && f.candidate.fit(word) > 0
	})

	for _, record := range f.turn.records {
		has := 0.0

		for _, name := range needed {
			if _, found := record.get(name); found {
				has++
			}
		}

		if has == 0 || doubled && f.candidate.acting && !record.duplicate() && !f.named(record) {
			continue
		}

		if score := record.suits(f.turn.words, days, f.turn.text) + has; score > most {
			best, most, fits = record, score, true
		}
	}

	if !fits || most < 0 && f.candidate.acting {
		return record{}
	}

	return best
}

// doubles are words that say that there is one too many: only a record that is marked so may be acted on.
var doubles = stems("twice double doubled duplicate duplicated")

func (f *filler) named(record record) bool {
	for _, value := range record.fields {
		if text, isText := value.(string); isText && slices.Contains(f.said.ids, text) {
			return true
		}
	}

	return false
}

// days are the dates of the message as records write them, with and without the time of day.
func (f *filler) days() []string {
	days := []string{}
	for _, date := range f.said.dates {
		days = append(days, date.Format(time.DateOnly))
	}

	if f.said.weekday != "" {
		days = append(days, f.said.weekday)
	}

	return append(days, f.said.times...)
}

func (f *filler) required() []string {
	names := []string{}

	list, _ := f.candidate.Parameters["required"].([]any)
	for _, item := range list {
		if name, isText := item.(string); isText {
			names = append(names, name)
		}
	}

	return names
}

func (f *filler) fill() filled {
	arguments, known := f.object(f.candidate.Parameters)

	return filled{arguments: arguments, known: known, bonus: f.bonus}
}

// object fills an object's properties: the required ones somehow, the others only if there is a value for them.
func (f *filler) object(schema map[string]any) (map[string]any, bool) {
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	arguments, known := map[string]any{}, true

	for _, name := range slices.Sorted(maps.Keys(properties)) {
		property, _ := properties[name].(map[string]any)
		needed := slices.Contains(required, any(name))

		value, found := f.find(name, property, needed)
		if !found && needed {
			value, found = f.settle(name, property)
			known = known && found
		}

		if found || needed {
			arguments[name] = value
		}
	}

	return arguments, known
}

// find looks a value up in the chosen record and in the message.
func (f *filler) find(name string, schema map[string]any, needed bool) (any, bool) {
	if value, found := f.record.get(name); found && (needed || f.candidate.acting) && fits(value, schema) {
		return value, true
	}

	if options, limited := schema["enum"].([]any); limited {
		return f.option(options)
	}

	switch kind(schema) {
	case "integer", "number":
		return f.number(name, schema, needed)
	case "string":
		return f.text(name, schema)
	case "object":
		if nested, known := f.object(schema); known && len(nested) > 0 {
			return nested, true
		}
	}

	return nil, false
}

// option is the value that the message names as a word of its own.
func (f *filler) option(options []any) (any, bool) {
	words := split(f.turn.text)

	for _, option := range options {
		text, isText := option.(string)
		if parts := split(text); isText && len(parts) > 0 && contains(words, parts) {
			return option, true
		}
	}

	return nil, false
}

func contains(words, parts []string) bool {
	for at := 0; at+len(parts) <= len(words); at++ {
		if slices.Equal(words[at:at+len(parts)], parts) {
			return true
		}
	}

	return false
}

func (f *filler) number(name string, schema map[string]any, needed bool) (any, bool) {
	words := split(name)
	if len(f.said.numbers) == 0 || !needed && !contains(split(f.turn.text), words[len(words)-1:]) {
		return nil, false
	}

	number := f.said.numbers[0]
	if strings.HasSuffix(name, "_cents") || strings.HasSuffix(name, "Cents") {
		number *= 100
	}

	return bound(number, schema), true
}

// bound keeps a number inside of what the schema allows.
func bound(number float64, schema map[string]any) any {
	if least, limited := schema["minimum"].(float64); limited {
		number = max(number, least)
	}

	if most, limited := schema["maximum"].(float64); limited {
		number = min(number, most)
	}

	if kind(schema) == "integer" {
		return int64(math.Round(number))
	}

	return number
}

// text finds what the message says in a form that the property asks for by its format or name.
func (f *filler) text(name string, schema map[string]any) (any, bool) {
	format, _ := schema["format"].(string)
	words := split(name)
	last := words[max(len(words)-1, 0):]
	is := func(names ...string) bool { return len(last) > 0 && slices.Contains(names, last[0]) }

	switch {
	case format == "email", is("email", "mail"):
		return first(f.said.emails)
	case format == "uri", is("url", "uri", "link"):
		return first(f.said.urls)
	case format == "date", is("date"):
		return first(f.formatted(time.DateOnly))
	case format == "date-time":
		return first(f.formatted(time.RFC3339))
	case is("day", "weekday") && f.said.weekday != "":
		return f.said.weekday, true
	case format == "time", is("time"):
		return first(f.said.times)
	case is("id", "number", "reference", "code", "key"):
		return f.id(words)
	case is("expression", "formula", "calculation", "sum"):
		return first(nonEmpty(f.said.sum))
	case is("name") && len(words) <= 2 && f.said.name != "":
		return f.said.name, true
	default:
		return nil, false
	}
}

// formatted are the message's dates, at its first time of day if it has one.
func (f *filler) formatted(layout string) []string {
	found := make([]string, 0, len(f.said.dates))

	for _, date := range f.said.dates {
		if len(f.said.times) > 0 {
			if clock, err := time.Parse("15:04", f.said.times[0]); err == nil {
				date = date.Add(time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute)
			}
		}

		found = append(found, date.Format(layout))
	}

	return found
}

// id is an id that the message names: one that begins like the thing it is of, such as INV-7 for an invoice; else the
// first.
func (f *filler) id(words []string) (any, bool) {
	best := ""

	for _, id := range f.said.ids {
		parts := split(id)

		alike := len(parts) > 0 && len(words) > 0 && len(parts[0]) > 1 && strings.HasPrefix(words[0], parts[0][:min(3, len(parts[0]))])
		if alike || best == "" && len(f.said.ids) == 1 {
			best = id
		}
	}

	if best == "" {
		return nil, false
	}

	f.bonus = 1

	return best, true
}

func first(texts []string) (any, bool) {
	if len(texts) == 0 {
		return nil, false
	}

	return texts[0], true
}

func nonEmpty(text string) []string {
	if text == "" {
		return nil
	}

	return []string{text}
}

// kind is the schema's type; of several, the first that is not null.
func kind(schema map[string]any) string {
	switch typed := schema["type"].(type) {
	case string:
		return typed
	case []any:
		for _, item := range typed {
			if name, isText := item.(string); isText && name != "null" {
				return name
			}
		}
	}

	for _, key := range []string{"anyOf", "oneOf", "allOf"} {
		options, _ := schema[key].([]any)
		for _, option := range options {
			if nested, isObject := option.(map[string]any); isObject && kind(nested) != "null" {
				return kind(nested)
			}
		}
	}

	if schema["properties"] != nil {
		return "object"
	}

	return "string"
}

// fits reports whether a value found elsewhere has the schema's type.
func fits(value any, schema map[string]any) bool {
	switch value := value.(type) {
	case string:
		options, limited := schema["enum"].([]any)

		return kind(schema) == "string" && (!limited || slices.Contains(options, any(value)))
	case float64:
		return kind(schema) == "number" || kind(schema) == "integer" && value == math.Trunc(value)
	case bool:
		return kind(schema) == "boolean"
	default:
		return false
	}
}

// settle fills what is required and was not found. It reports whether that can be answered for: defaults and free
// texts can, made-up ids, dates and amounts can't.
func (f *filler) settle(name string, schema map[string]any) (any, bool) {
	if value, given := schema["default"]; given {
		return value, true
	}

	if value, given := schema["const"]; given {
		return value, true
	}

	if options, limited := schema["enum"].([]any); limited && len(options) > 0 {
		return options[0], true
	}

	switch kind(schema) {
	case "integer", "number":
		return bound(1, schema), false
	case "boolean":
		return false, true
	case "array":
		return f.array(name, schema)
	case "object":
		return f.object(schema)
	case "null":
		return nil, true
	default:
		return f.free(name, schema)
	}
}

func (f *filler) array(name string, schema map[string]any) (any, bool) {
	items, _ := schema["items"].(map[string]any)

	value, found := f.find(strings.TrimSuffix(name, "s"), items, true)
	if !found {
		value, found = f.settle(strings.TrimSuffix(name, "s"), items)
	}

	return []any{value}, found
}

// exact are names of texts that can't be made up.
var exact = set("id number reference code key date time email mail url uri link phone iban start end day address expression path")

// free is a text out of the message, as long as is allowed.
func (f *filler) free(name string, schema map[string]any) (any, bool) {
	words := split(name)
	format, _ := schema["format"].(string)
	certain := format == "" && (len(words) == 0 || !exact[words[len(words)-1]])
	text := strings.TrimSpace(f.turn.text)

	switch cmp.Or(words...) {
	case "reason":
		text = "The user says: " + sentence(text)
	case "summary":
		text = f.summary()
	case "query", "keywords", "search":
		text = f.query()
	}

	if !certain && format != "" || !certain && exact[words[len(words)-1]] {
		text = example(format, f.now)
	}

	if most, limited := schema["maxLength"].(float64); limited {
		text = clip(text, int(most))
	}

	return cmp.Or(text, "unknown"), certain
}

// example is a made-up value in a format.
func example(format string, now time.Time) string {
	switch format {
	case "date":
		return now.Format(time.DateOnly)
	case "date-time":
		return now.Format(time.RFC3339)
	case "email":
		return "someone@example.com"
	case "uri":
		return "https://example.com"
	default:
		return "unknown"
	}
}

// query are the message's keywords as they were written.
func (f *filler) query() string {
	written := make([]string, 0, len(f.turn.words))
	for _, word := range f.turn.words {
		written = append(written, word.word)
	}

	return strings.Join(written, " ")
}

// summary tells another agent what was said and done.
func (f *filler) summary() string {
	parts := []string{"The user said: " + sentence(strings.TrimSpace(f.turn.text))}

	for _, done := range f.turn.done {
		if !strings.HasPrefix(done.name, handoffPrefix) {
			parts = append(parts, report(done))
		}
	}

	return strings.Join(parts, " ")
}
