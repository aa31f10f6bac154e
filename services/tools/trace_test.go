package tools

import "testing"

func TestServersOfMCPAreToldOfTheTraceIfTheyShallBe(t *testing.T) {
	if meta := callParams(invocation{callID: "c", trace: "00-1-2-01"}).Meta; meta["traceparent"] != "00-1-2-01" {
		t.Errorf("_meta is %v", meta)
	}

	if _, told := callParams(invocation{callID: "c"}).Meta["traceparent"]; told {
		t.Error("a server is told although nobody wants it")
	}
}
