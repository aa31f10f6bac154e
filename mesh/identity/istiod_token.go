package identity

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// describeToken says what a token claims to be, for a person who looks for why it was refused. It is not verified: that
// is what istiod does.
func describeToken(token string, now time.Time) string {
	var claims struct {
		Audience audience `json:"aud"`
		Subject  string   `json:"sub"`
		Expires  int64    `json:"exp"`
	}

	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "is no JSON web token"
	}

	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}

	if err != nil {
		return "is no JSON web token"
	}

	text := fmt.Sprintf("is of %q for the audience %q", claims.Subject, []string(claims.Audience))
	if expires := time.Unix(claims.Expires, 0); claims.Expires > 0 && expires.Before(now) {
		text += " and expired at " + expires.UTC().Format(time.RFC3339)
	}

	return text
}

// audience is one or many: both are allowed.
type audience []string

func (a *audience) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*a = audience{one}

		return nil
	}

	var many []string
	if err := json.Unmarshal(data, &many); err != nil {
		return fmt.Errorf("aud: %w", err)
	}

	*a = many

	return nil
}
