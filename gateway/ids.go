package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/oklog/ulid/v2"
	"google.golang.org/grpc/metadata"

	"github.com/serinhq/serin/internal/fault"
)

// maxKeyLength is that of SendMessageRequest.idempotency_key.
const maxKeyLength = 128

// newID returns a fresh id: the prefix and a ULID in lower case, so that ids sort by time.
func newID(prefix string) string {
	return prefix + strings.ToLower(ulid.Make().String())
}

// idempotencyKey is the key in the request, or else in the metadata (over REST the header Idempotency-Key).
func idempotencyKey(ctx context.Context, inRequest string) (string, error) {
	inHeader := ""
	if values := metadata.ValueFromIncomingContext(ctx, "idempotency-key"); len(values) > 0 {
		inHeader = values[0]
	}

	switch {
	case inHeader == "":
		return inRequest, nil
	case len(inHeader) > maxKeyLength:
		return "", fault.Invalid(fault.Violation{Field: "Idempotency-Key", Message: "must have at most 128 bytes"})
	case inRequest != "" && inRequest != inHeader:
		return "", fault.Invalid(fault.Violation{Field: "idempotency_key", Message: "is another than the header Idempotency-Key"})
	default:
		return inHeader, nil
	}
}

// storedAs is what the store knows a request by: keys of different users never meet, and a request without one is new.
func storedAs(what string, principal Principal, key string) string {
	if key == "" {
		return newID(what)
	}

	return what + digest(principal.Tenant, principal.User, key)
}

// digest is the sha256 in hex over parts that can't run into each other.
func digest(parts ...string) string {
	hash := sha256.New()
	for _, part := range parts {
		hash.Write([]byte(part))
		hash.Write([]byte{0})
	}

	return hex.EncodeToString(hash.Sum(nil))
}

// turnOfCall returns the turn in a call's id, which is turn-segment-step-index.
func turnOfCall(callID string) (string, bool) {
	parts := strings.Split(callID, "-")
	if len(parts) < 4 {
		return "", false
	}

	return strings.Join(parts[:len(parts)-3], "-"), true
}
