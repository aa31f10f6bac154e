package ambassador

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"
)

// Each case is a request's fields and what the Messages API is asked for them.
func TestMessagesBody(t *testing.T) {
	const (
		hi   = `"messages":[{"role":"user","content":"hi"}]`
		said = `"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]`
		head = `{"model":"m","max_tokens":8192,`
	)

	for name, test := range map[string]struct{ chat, want string }{
		"the least": {`{` + hi + `}`, head + said + `}`},
		"system prompts, also in the middle": {
			`{"messages":[{"role":"system","content":"A"},{"role":"user","content":"hi"},{"role":"developer","content":[{"type":"text","text":"B","cache_control":{"type":"ephemeral"}}]}]}`,
			head + `"system":[{"type":"text","text":"A"},{"type":"text","text":"B","cache_control":{"type":"ephemeral"}}],` + said + `}`,
		},
		"options": {
			`{` + hi + `,"max_completion_tokens":5,"temperature":1.4,"top_p":0.5,"stop":"x","user":"u","reasoning_effort":"minimal","thinking":{"type":"adaptive"}}`,
			`{"model":"m","max_tokens":5,` + said + `,"stop_sequences":["x"],"temperature":1,"top_p":0.5,"metadata":{"user_id":"u"},"output_config":{"effort":"low"},"thinking":{"type":"adaptive"}}`,
		},
		"several stops, and nothing that is null": {
			`{` + hi + `,"stop":["x","y"],"temperature":null,"tools":null,"n":1,"stream":true}`,
			head + said + `,"stop_sequences":["x","y"],"stream":true}`,
		},
		"a schema for the answer": {
			`{` + hi + `,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}},"output_config":{"effort":"max"}}`,
			head + said + `,"output_config":{"effort":"max","format":{"type":"json_schema","schema":{"type":"object"}}}}`,
		},
		"tools": {
			`{` + hi + `,"tools":[{"type":"function","function":{"name":"a","description":"d","parameters":{"properties":{}},"strict":true}},{"type":"function","function":{"name":"b"}}],"tool_choice":"required","parallel_tool_calls":false}`,
			head + said + `,"tools":[{"name":"a","description":"d","input_schema":{"properties":{},"type":"object"},"strict":true},{"name":"b","input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"any","disable_parallel_tool_use":true}}`,
		},
		"one tool by name": {
			`{` + hi + `,"tools":[{"type":"function","function":{"name":"b"}}],"tool_choice":{"type":"function","function":{"name":"b"}}}`,
			head + said + `,"tools":[{"name":"b","input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"tool","name":"b"}}`,
		},
		"a choice without tools": {`{` + hi + `,"tool_choice":"auto","parallel_tool_calls":false}`, head + said + `}`},
		"one call at a time": {
			`{` + hi + `,"tools":[{"type":"function","function":{"name":"b"}}],"parallel_tool_calls":false}`,
			head + said + `,"tools":[{"name":"b","input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}`,
		},
		"parallel calls and their results": {
			`{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"call:1","type":"function","function":{"name":"a","arguments":"{\"x\": [1]}"}},{"id":"2","type":"function","function":{"name":"b","arguments":""}}]},{"role":"tool","tool_call_id":"call:1","content":"one"},{"role":"tool","tool_call_id":"2","content":""},{"role":"user","content":"and?"}]}`,
			head + `"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]},{"role":"assistant","content":[{"type":"tool_use","id":"call_1","name":"a","input":{"x":[1]}},{"type":"tool_use","id":"2","name":"b","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":[{"type":"text","text":"one"}]},{"type":"tool_result","tool_use_id":"2"},{"type":"text","text":"and?"}]}]}`,
		},
		"thinking goes back": {
			`{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"A","thinking_blocks":[{"type":"thinking","thinking":"t","signature":"s"}]},{"role":"user","content":"B"}]}`,
			head + `"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"text","text":"A"}]},{"role":"user","content":[{"type":"text","text":"B"}]}]}`,
		},
		"an assistant first and last": {
			`{"messages":[{"role":"assistant","content":"A"},{"role":"user","content":""},{"role":"assistant","content":"B"}]}`,
			head + `"messages":[{"role":"user","content":[{"type":"text","text":"(The conversation began earlier.)"}]},{"role":"assistant","content":[{"type":"text","text":"A"},{"type":"text","text":"B"}]},{"role":"user","content":[{"type":"text","text":"(Go on.)"}]}]}`,
		},
		"images and documents": {
			`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://h/i.png","detail":"low"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBO"}},{"type":"file","file":{"filename":"f.pdf","file_data":"data:application/pdf;base64,JVBE"}}]}]}`,
			head + `"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://h/i.png"}},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBO"}},{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"title":"f.pdf"}]}]}`,
		},
	} {
		chat, refused := readChat([]byte(test.chat))
		if refused != nil {
			t.Fatalf("%s: %s", name, refused.Message)
		}

		got, err := messagesBody(chat, "m")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}

		if diff := cmp.Diff(gjson.Get(test.want, "@ugly").Raw, string(got)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestMessagesBodyNamesWhatItRefuses(t *testing.T) {
	for messages, want := range map[string]string{
		`{"role":"critic","content":"x"}`:                                                           "messages[0].role",
		`{"role":"user","content":[{"type":"input_audio"}]}`:                                        "messages[0].content[0].type",
		`{"role":"user","content":[{"type":"image_url","image_url":{"url":"file:///x"}}]}`:          "messages[0].content[0].image_url.url",
		`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png,x"}}]}`:   "messages[0].content[0].image_url.url",
		`{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}`:                        "messages[0].content[0].file.file_data",
		`{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"a","arguments":"[1]"}}]}`:  "messages[0].tool_calls[0].function.arguments",
		`{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"a","arguments":"{\"x"}}]}`: "messages[0].tool_calls[0].function.arguments",
		`{"role":"system","content":[{"type":"image_url","image_url":{"url":"https://h"}}]}`:        "messages[0].content",
	} {
		chat, refused := readChat([]byte(`{"messages":[` + messages + `]}`))
		if refused != nil {
			t.Fatal(refused.Message)
		}

		_, err := messagesBody(chat, "m")
		if told := unsent(err); told.class != classUnsupported || gjson.GetBytes(told.body, "error.param").String() != want {
			t.Errorf("%s: got %v", messages, err)
		}
	}
}
