package controller

import (
	"strconv"
	"testing"

	"github.com/serinhq/serin/internal/fault"
)

func FuzzPageToken(f *testing.F) {
	for _, token := range []string{"", "7", "0", "-1", "x", "9223372036854775808", "+7"} {
		f.Add(token)
	}

	f.Fuzz(func(t *testing.T, token string) {
		before, err := parsePageToken(token)

		switch {
		case err != nil && !fault.Is(err, "INVALID"):
			t.Errorf("%q is refused with %v", token, err)
		case err == nil && token != "" && before < 1:
			t.Errorf("%q is %d", token, before)
		case err == nil && token == strconv.FormatInt(before, 10) && before < 1:
			t.Errorf("%q is no id", token)
		}
	})
}
