package contextstore

import "testing"

func TestNewNeedsAStore(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("a service without a store was made")
	}
}
