package objects

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Condition is one of an object's status.conditions.
type Condition struct {
	Type    string
	Status  metav1.ConditionStatus
	Reason  string
	Message string
}

// SetStatus writes conditions into the status of an object, for its generation. Conditions of other types stay.
// It writes nothing when all of it is so already, when the object is gone, or when its status is of a later generation.
// It fails on a kind that is not kept, and when the journal cannot be written.
func (s *Store) SetStatus(kind, namespace, name string, generation int64, conditions ...Condition) error {
	k := s.kinds[kind]
	if k == nil {
		return fmt.Errorf("objects: the kind %q is not kept", kind)
	}

	s.writing.Lock()
	defer s.writing.Unlock()

	before := s.get(k, key{namespace, name})
	if before == nil {
		return nil
	}

	d, err := before.draft()
	if err != nil {
		return err
	}

	status, changed := withConditions(d.Status, generation, conditions, s.config.Now())
	if !changed {
		return nil
	}

	d.Status = status

	after, err := seal(k, d, s.next())
	if err != nil {
		return err
	}

	return s.commit(put(before, after), after, false)
}

// withConditions returns a status with conditions in it, and whether that changes it.
func withConditions(status map[string]any, generation int64, conditions []Condition, now time.Time) (map[string]any, bool) {
	observed := number(status["observedGeneration"])
	if observed > generation {
		return status, false
	}

	list, _ := status["conditions"].([]any)
	updated := make([]any, len(list), len(list)+len(conditions))
	copy(updated, list)

	changed := observed != generation

	for _, condition := range conditions {
		var one bool

		updated, one = condition.into(updated, generation, now)
		changed = changed || one
	}

	if !changed {
		return status, false
	}

	merged := map[string]any{"observedGeneration": generation, "conditions": updated}

	for name, value := range status {
		if _, set := merged[name]; !set {
			merged[name] = value
		}
	}

	return merged, true
}

// into puts the condition into a list, which it may change, and says whether that made a difference.
func (c Condition) into(list []any, generation int64, now time.Time) ([]any, bool) {
	next := map[string]any{"type": c.Type, "status": string(c.Status), "observedGeneration": generation}

	if c.Reason != "" {
		next["reason"] = c.Reason
	}

	if c.Message != "" {
		next["message"] = c.Message
	}

	next["lastTransitionTime"] = now.UTC().Format(time.RFC3339)

	for i, entry := range list {
		old, _ := entry.(map[string]any)
		if old["type"] != c.Type {
			continue
		}

		if old["status"] == next["status"] && old["lastTransitionTime"] != nil {
			next["lastTransitionTime"] = old["lastTransitionTime"]
		}

		list[i] = next

		return list, !c.same(old, generation)
	}

	return append(list, next), true
}

// same reports whether a condition already says this.
func (c Condition) same(old map[string]any, generation int64) bool {
	reason, _ := old["reason"].(string)
	message, _ := old["message"].(string)

	return old["status"] == string(c.Status) && reason == c.Reason && message == c.Message &&
		number(old["observedGeneration"]) == generation
}
