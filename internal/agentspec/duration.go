package agentspec

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Duration is a time.Duration that is written as Go writes it: 30s, 2m, 1h30m.
//
// +kubebuilder:validation:Type=string
type Duration time.Duration

// MarshalJSON writes the duration as a string.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String()) //nolint:wrapcheck // a string always marshals
}

// UnmarshalJSON reads a string such as 30s.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("%s is not a duration: want a string such as \"30s\"", data)
	}

	parsed, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not a duration: want a string such as \"30s\"", text)
	}

	*d = Duration(parsed)

	return nil
}

// String writes the duration as Go does, such as 2m0s.
func (d Duration) String() string { return time.Duration(d).String() }

// short leaves out what String writes for completeness: 2m, not 2m0s.
func (d Duration) short() string {
	text := d.String()

	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}

	return text
}
