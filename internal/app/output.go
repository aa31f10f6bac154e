package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/fatih/color"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// outputFormat is the value of -o.
type outputFormat string

const (
	formatText outputFormat = "text"
	formatJSON outputFormat = "json"
	formatYAML outputFormat = "yaml"
)

// outputFlag adds -o; the formats are the ones allowed.
func outputFlag(flags *pflag.FlagSet, formats ...outputFormat) *outputFormat {
	value := &outputValue{format: formatText, allowed: formats}
	flags.VarP(value, "output", "o", "output format: "+value.options())

	return &value.format
}

type outputValue struct {
	format  outputFormat
	allowed []outputFormat
}

func (v *outputValue) String() string { return string(v.format) }
func (v *outputValue) Type() string   { return "format" }

func (v *outputValue) options() string {
	names := make([]string, len(v.allowed))
	for i, format := range v.allowed {
		names[i] = string(format)
	}

	return strings.Join(names, ", ")
}

// Set takes one of the allowed formats.
func (v *outputValue) Set(text string) error {
	for _, format := range v.allowed {
		if string(format) == text {
			v.format = format

			return nil
		}
	}

	return fmt.Errorf("want one of %s", v.options())
}

// printValue writes a value as JSON with indents, or as YAML with the same names in the same order.
func printValue(w io.Writer, format outputFormat, value any) error {
	data, err := marshal(value)
	if err != nil {
		return err
	}

	if format == formatYAML {
		if data, err = toYAML(data); err != nil {
			return err
		}
	} else {
		indented := &bytes.Buffer{}
		if err := json.Indent(indented, data, "", "  "); err != nil {
			return fmt.Errorf("indent JSON: %w", err)
		}

		data = append(indented.Bytes(), '\n')
	}

	return write(w, data)
}

// printLine writes a value as one line of JSON, or as one YAML document of a stream.
func printLine(w io.Writer, format outputFormat, value any) error {
	data, err := marshal(value)
	if err != nil {
		return err
	}

	if format == formatYAML {
		if data, err = toYAML(data); err != nil {
			return err
		}

		return write(w, append([]byte("---\n"), data...))
	}

	return write(w, append(data, '\n'))
}

func write(w io.Writer, data []byte) error {
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("write output: %w", err)
	}

	return nil
}

// marshal writes compact JSON. protojson puts random spaces in, so that nobody relies on its bytes; people compare ours.
func marshal(value any) ([]byte, error) {
	var (
		data []byte
		err  error
	)

	if message, ok := value.(proto.Message); ok {
		data, err = protojson.Marshal(message)
	} else {
		data, err = json.Marshal(value)
	}

	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}

	compact := &bytes.Buffer{}
	if err := json.Compact(compact, data); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}

	return compact.Bytes(), nil
}

// message lets a protobuf message be a part of a value for [printValue].
type message struct{ proto.Message }

// MarshalJSON writes the message as REST does.
func (m message) MarshalJSON() ([]byte, error) { return marshal(m.Message) }

// toYAML turns JSON, which is YAML, into the style that people write.
func toYAML(data []byte) ([]byte, error) {
	node := &yaml.Node{}
	if err := yaml.Unmarshal(data, node); err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}

	plain(node)

	out := &bytes.Buffer{}
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(2)

	if err := encoder.Encode(node); err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}

	return out.Bytes(), nil
}

// oldBooleans are texts that YAML 1.1 takes for truth values.
var oldBooleans = []string{"y", "n", "yes", "no", "on", "off"}

// plain drops JSON's braces and quotes. The encoder puts quotes back where a text would be read as something else, but for
// what only older readers take for truth values.
func plain(node *yaml.Node) {
	switch {
	case node.Kind == yaml.ScalarNode && strings.Contains(node.Value, "\n"):
		node.Style = yaml.LiteralStyle
	case node.Kind == yaml.ScalarNode && slices.Contains(oldBooleans, strings.ToLower(node.Value)):
		node.Style = yaml.DoubleQuotedStyle
	default:
		node.Style = 0
	}

	for _, inner := range node.Content {
		plain(inner)
	}
}

// paint colours text on terminals and leaves it alone elsewhere.
type paint struct{ on bool }

func (p paint) with(text string, attributes ...color.Attribute) string {
	if !p.on || text == "" {
		return text
	}

	painter := color.New(attributes...)
	painter.EnableColor() // the library would look at the process's own output otherwise

	return painter.Sprint(text)
}

func (p paint) bold(text string) string  { return p.with(text, color.Bold) }
func (p paint) dim(text string) string   { return p.with(text, color.Faint) }
func (p paint) good(text string) string  { return p.with(text, color.FgGreen) }
func (p paint) bad(text string) string   { return p.with(text, color.FgRed) }
func (p paint) ask(text string) string   { return p.with(text, color.FgYellow) }
func (p paint) agent(text string) string { return p.with(text, color.FgCyan, color.Bold) }

// printTable writes rows in columns under a header.
func printTable(env *Env, header []string, rows [][]string) error {
	text := &bytes.Buffer{}
	table := tabwriter.NewWriter(text, 0, 4, 3, ' ', 0)

	for _, row := range append([][]string{header}, rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = oneLine(cell)
		}

		if _, err := fmt.Fprintln(table, strings.Join(cells, "\t")); err != nil {
			return fmt.Errorf("write table: %w", err)
		}
	}

	if err := table.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}

	first, rest, _ := strings.Cut(text.String(), "\n")

	return write(env.Stdout, []byte(paint{env.colours()}.bold(first)+"\n"+rest))
}

// printable drops control characters but line breaks and tabs: texts of models and tools must not steer a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}

		return r
	}, text)
}

// oneLine makes a text fit for a cell: no line breaks, no tabs.
func oneLine(text string) string {
	return printable(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("\n\r\t", r) }), " "))
}

// clip cuts a text to a number of runes and says so.
func clip(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}

	return string(runes[:most-1]) + "…"
}
