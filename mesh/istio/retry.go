package istio

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	maxConflicts = 10
	firstPause   = 2 * time.Millisecond
	maxPause     = 100 * time.Millisecond
)

// retry reads, decides and writes again when someone else wrote in between.
func retry(ctx context.Context, attempt func() error) error {
	pause := firstPause

	for range maxConflicts {
		if err := attempt(); !conflict(err) {
			return err
		}

		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(pause)): //nolint:gosec // jitter
			pause = min(2*pause, maxPause)
		}
	}

	return attempt()
}

// conflict reports whether a write failed because the object is not as it was read: 409, 422 (a test of the patch failed)
// or 404.
func conflict(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}

	switch status.Status().Code {
	case http.StatusConflict, http.StatusUnprocessableEntity, http.StatusNotFound:
		return true
	default:
		return false
	}
}
