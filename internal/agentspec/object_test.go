package agentspec

import (
	"encoding/json"
	"testing"
	"testing/fstest"
)

// TestObjectsKeepWhatIsWritten: numbers too, whose types nobody here knows.
func TestObjectsKeepWhatIsWritten(t *testing.T) {
	set, err := LoadFS(fstest.MapFS{"a.yaml": {Data: []byte(agentHead + `spec:
  entry: true
  description: d
  prompt: {inline: p}
  pod:
    spec: {b: [1, 0.5, 9007199254740993, true, null, 2026-01-01, "1"], a: {}}
`)}}, "")
	if err != nil {
		t.Fatal(err)
	}

	const want = `{"a":{},"b":[1,0.5,9007199254740993,true,null,"2026-01-01","1"]}`
	if got := string(set.Agents[0].Spec.Pod.Spec); got != want {
		t.Errorf("read %s", got)
	}

	data, err := MarshalResolved(set.Agents[0])
	if err != nil {
		t.Fatal(err)
	}

	again, err := UnmarshalResolved(data)
	if err != nil {
		t.Fatal(err)
	}

	if got := string(again.Spec.Pod.Spec); got != want {
		t.Errorf("read again %s", got)
	}
}

func TestObjectRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"spec":[]}`:   "want an object, not array",
		`{"spec":"x"}`:  "want an object, not string",
		`{"spec":null}`: "",
		`{"spec":{}}`:   "",
	} {
		pod := Pod{}

		err := json.Unmarshal([]byte(text), &pod)
		if got := errorText(err); got != want || len(pod.Spec) > 0 {
			t.Errorf("%s: %q, want %q; %s", text, got, want, pod.Spec)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}

	return err.Error()
}
