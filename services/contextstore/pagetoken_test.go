package contextstore

import (
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

func FuzzPageToken(f *testing.F) {
	f.Add("", "c01kas2vhf0j7d9p2r4t6v8x0z2")
	f.Add(pageToken("c1"), "c1")
	f.Add("MTo", "1:")
	f.Add("\xff", "\x00")

	f.Fuzz(func(t *testing.T, token, id string) {
		last, err := parsePageToken(token)

		switch {
		case err != nil && fault.CodeOf(err) != codes.InvalidArgument:
			t.Errorf("token %q: %v", token, err)
		case err == nil && token != "" && pageToken(last) != token:
			t.Errorf("token %q was read as %q, which is %q", token, last, pageToken(last))
		}

		if id == "" {
			return
		}

		if back, err := parsePageToken(pageToken(id)); err != nil || back != id {
			t.Errorf("id %q came back as %q, %v", id, back, err)
		}
	})
}
