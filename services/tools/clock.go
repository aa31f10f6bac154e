package tools

import (
	"encoding/json"
	"fmt"
	"time"
	_ "time/tzdata" // images without an operating system have no time zones
)

const clockInput = `{"type":"object","properties":{"zone":{"type":"string","maxLength":64,` +
	`"description":"IANA time zone, such as Europe/Berlin; UTC if left out"}},"additionalProperties":false}`

func newClock(now func() time.Time) builtin {
	return builtin{
		name:        "clock",
		description: "Tell the current date and time, in RFC 3339, in a time zone.",
		input:       clockInput,
		run: func(arguments json.RawMessage) (string, error) {
			var request struct {
				Zone string `json:"zone"`
			}
			if err := json.Unmarshal(arguments, &request); err != nil {
				return "", fmt.Errorf("arguments: %w", err)
			}

			return tellTime(now(), request.Zone)
		},
	}
}

// tellTime is RFC 3339 in a zone of the IANA database; "" is UTC.
func tellTime(now time.Time, zone string) (string, error) {
	if zone == "Local" {
		return "", fmt.Errorf("zone: %q is not an IANA time zone such as Europe/Berlin", zone)
	}

	location, err := time.LoadLocation(zone)
	if err != nil {
		return "", fmt.Errorf("zone: %q is not an IANA time zone such as Europe/Berlin", zone)
	}

	return now.In(location).Format(time.RFC3339), nil
}
