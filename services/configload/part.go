package configload

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/serinhq/serin/internal/agentspec"
)

// partName is what messages call a part.
type partName string

// maxPart is the most bytes that a part may have: a prompt's limit, and that of an agent's file.
const maxPart = 1 << 20

// part is one of the things that are loaded.
type part struct {
	name partName
	// names are what it may be called in a folder, the first of them what it is written as.
	names  []string
	source func(*Config) Source
	// take checks the bytes that came from a place, puts them among the parts, and returns those that are written.
	take func(place string, data []byte, into *agentspec.Parts) ([]byte, error)
}

// wanted is a part with where it comes from.
type wanted struct {
	part   part
	at     *url.URL
	digest string
}

// AgentFile is the name of the resolved agent in the folder.
const AgentFile = "agent.json"

var parts = []part{
	{
		name: "prompt", names: []string{"system-prompt.txt", "prompt.txt", "prompt.md"},
		source: func(c *Config) Source { return c.Prompt }, take: takePrompt,
	},
	{
		name: "tools", names: []string{"tools.json", "tools.yaml", "tools.yml"},
		source: func(c *Config) Source { return c.Tools }, take: takeTools,
	},
	{
		name: "guardrails", names: []string{"guardrails.json", "guardrails.yaml", "guardrails.yml"},
		source: func(c *Config) Source { return c.Guardrails }, take: takeGuardrails,
	},
}

func takePrompt(_ string, data []byte, into *agentspec.Parts) ([]byte, error) {
	text := string(data)

	switch {
	case !utf8.ValidString(text):
		return nil, errors.New("not valid UTF-8, which a prompt must be")
	case strings.TrimSpace(text) == "":
		return nil, errors.New("it is blank, and a prompt must say something")
	}

	into.Prompt = &text

	return data, nil
}

func takeTools(place string, data []byte, into *agentspec.Parts) ([]byte, error) {
	tools, err := agentspec.ParseTools(place, data)
	if err != nil {
		return nil, inOneLine(err)
	}

	into.Tools = tools

	return append(agentspec.MarshalTools(tools), '\n'), nil
}

func takeGuardrails(place string, data []byte, into *agentspec.Parts) ([]byte, error) {
	guardrails, err := agentspec.ParseGuardrails(place, data)
	if err != nil {
		return nil, inOneLine(err)
	}

	into.Guardrails = &guardrails

	return append(agentspec.MarshalGuardrails(guardrails), '\n'), nil
}

// inOneLine tells the first of several problems, and how many more there are: what an init container says last is often
// all that is seen of it. The place stands before it already.
func inOneLine(err error) error {
	problems, ok := errors.AsType[agentspec.Problems](err)
	if !ok || len(problems) == 0 {
		return err
	}

	first := problems[0]
	if i := slices.IndexFunc(problems, isThere); i >= 0 {
		first = problems[i]
	}

	text := first.Message

	if first.Field != "" {
		text = first.Field + ": " + text
	}

	if first.Line > 0 {
		text = fmt.Sprintf("line %d: %s", first.Line, text)
	}

	if more := len(problems) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}

	return errors.New(text)
}

// isThere prefers what is there and wrong: what is missing is often there under another name.
func isThere(problem agentspec.Problem) bool { return !strings.HasPrefix(problem.Message, "required") }
