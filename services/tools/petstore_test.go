package tools

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/services/tools/webapi"
)

const nodeHint = "run: npm ci --prefix services/tools/testdata/node"

// nodeFile is a file of an npm package that "npm ci" in testdata/node installs.
func nodeFile(t *testing.T, path string) string {
	t.Helper()
	testenv.Require(t, "node")

	file, err := filepath.Abs("testdata/node/node_modules/" + path)
	if err != nil {
		t.Fatal(err)
	}

	testenv.RequireFile(t, "node", file, nodeHint)

	return file
}

// mocked serves what a document describes, by a mock that is not ours and refuses requests that the document does not
// allow; it returns the URL.
func mocked(t *testing.T, document string) string {
	t.Helper()

	address := testenv.FreePort(t)
	host, port, _ := strings.Cut(address, ":")

	mock := exec.Command("node", nodeFile(t, "@stdy/cli/steady.js"), "--host", host, "--port", port, "--no-color", document)
	mock.Stdout, mock.Stderr = t.Output(), t.Output()

	// It ends with its input, and takes the program that it starts with it.
	input, err := mock.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}

	if err := mock.Start(); err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		input.Close()

		_ = mock.Process.Signal(os.Interrupt)
		_ = mock.Wait()
	})

	eventually(t, "the mock answers", func() bool {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/", nil)
		request.Close = true

		response, err := (&http.Client{Timeout: time.Second}).Do(request)
		if err != nil {
			return false
		}

		return response.Body.Close() == nil
	})

	return "http://" + address
}

// TestPetstore makes tools of a document that nobody here wrote, in both versions, and calls a mock of it. The mock
// answers 400 to what the document does not allow.
func TestPetstore(t *testing.T) {
	for _, version := range []string{"3.0", "3.1"} {
		t.Run(version, func(t *testing.T) {
			testPetstore(t, nodeFile(t, "@readme/oas-examples/"+version+"/json/petstore.json"))
		})
	}
}

func testPetstore(t *testing.T, file string) {
	t.Helper()

	document, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	operations := []string{
		"addPet", "findPetsByStatus", "getPetById", "updatePetWithForm", "deletePet", "getInventory", "placeOrder",
		"createUsersWithListInput", "loginUser", "getUserByName",
	}
	url := mocked(t, file)
	tools := newHouse(t, func(config *Config) {
		config.Servers = []agentspec.MCPServer{{
			Metadata: agentspec.Metadata{Name: "pets"},
			Spec: agentspec.MCPServerSpec{
				URL: url, AllowPrivate: true, OpenAPI: &agentspec.OpenAPI{Document: string(document), Operations: operations},
				Headers: []agentspec.Header{{Name: "api_key", Value: "special"}}, Auth: &agentspec.Auth{BearerEnv: "PET_TOKEN"},
			},
		}}
		config.Grants = map[string][]agentspec.Tool{"billing": {{Name: "pets_*"}}}
		config.Getenv = func(string) string { return "token" }
	}).move()

	listed, err := tools.client.ListTools(as(t.Context(), "billing"), nil)
	if err != nil || len(listed.GetTools()) != len(operations) {
		t.Fatalf("%v %v", listed, err)
	}

	if status := post(t, url+"/pet", `{"photoUrls":"none"}`); status != http.StatusBadRequest {
		t.Errorf("the mock answers %d to what its document does not allow", status)
	}

	// Where the document knows no success, the mock answers with what it knows.
	for call, test := range map[string]struct {
		arguments string
		outcome   eventv1.ToolResult_Outcome
		contains  string
	}{
		"getPetById":               {`{"petId":7}`, ok, `"name"`},
		"findPetsByStatus":         {`{"status":["available","sold"]}`, ok, `"photoUrls"`},
		"addPet":                   {`{"body":{"name":"Rex","photoUrls":["x"],"category":{"name":"dogs"},"tags":[{"name":"a"}],"status":"sold"}}`, failure, "HTTP 405"},
		"updatePetWithForm":        {`{"petId":7,"body":{"name":"Max","status":"sold"}}`, failure, "HTTP 405"},
		"getInventory":             {`{}`, ok, "{"},
		"placeOrder":               {`{"body":{"petId":1,"quantity":2,"shipDate":"2026-11-28T00:00:00Z","status":"placed"}}`, ok, "{"},
		"createUsersWithListInput": {`{"body":[{"username":"u"}]}`, ok, ""},
		"loginUser":                {`{"username":"a b","password":"c&d"}`, ok, ""},
		"getUserByName":            {`{"username":"a/b"}`, ok, "{"},
	} {
		got := tools.execute(call, "pets_"+call, test.arguments)
		if got.err != nil || got.result.GetOutcome() != test.outcome || !strings.Contains(got.result.GetOutput(), test.contains) {
			t.Errorf("%s: %v %v", call, got.result, got.err)
		}
	}

	for call, arguments := range map[string]string{
		"getPetById": `{"petId":"seven"}`, "findPetsByStatus": `{"status":["eaten"]}`, "addPet": `{"body":{"name":"Rex"}}`, "deletePet": `{}`,
	} {
		got := tools.execute(call+"-bad", "pets_"+call, arguments)
		wantOutcome(t, got, failure)

		if !strings.Contains(got.result.GetOutput(), "The tool did not run") {
			t.Errorf("%s: %q", call, got.result.GetOutput())
		}
	}
}

func post(t *testing.T, url, body string) int {
	t.Helper()

	request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	request.Close = true

	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()

	return response.StatusCode
}

// TestForeignDocuments makes tools of everything that a collection of documents describes, or says why not: schemas are
// such that a validator takes, and arguments that fit them are sent.
func TestForeignDocuments(t *testing.T) {
	folder := filepath.Dir(filepath.Dir(filepath.Dir(nodeFile(t, "@readme/oas-examples/3.0/json/petstore.json"))))

	files, err := filepath.Glob(folder + "/3.[01]/*/*.[jy]*")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}

	documents, made, refused := 0, 0, map[string]int{}

	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}

		document, err := webapi.ParseOpenAPI(text)
		if err != nil {
			t.Logf("%s: %.200s", file, err)

			continue
		}

		documents++

		for _, id := range document.IDs() {
			server := agentspec.MCPServer{Metadata: agentspec.Metadata{Name: "s"}, Spec: agentspec.MCPServerSpec{
				URL: "https://example.com", OpenAPI: &agentspec.OpenAPI{Document: string(text), Operations: []string{id}},
			}}

			if len(text) > 200_000 && made > 200 {
				break // the same kinds again
			}

			problems := Check(&server)
			if len(problems) == 0 {
				made++
			}

			for _, problem := range problems {
				_, why, _ := strings.Cut(problem.Message, ": ")
				refused[why]++
			}
		}
	}

	t.Logf("%d of %d documents, %d operations made tools", documents, len(files), made)

	for why, n := range refused {
		t.Logf("%3d refused: %.200s", n, why)
	}

	if total := sum(refused); documents < len(files)*9/10 || made < 100 || total > made/2 {
		t.Errorf("%d documents of %d, %d operations made tools and %d did not", documents, len(files), made, total)
	}
}

func sum(counts map[string]int) int {
	total := 0
	for _, n := range counts {
		total += n
	}

	return total
}

// TestDocumentThatIsWrong: what is wrong with it is told by field.
func TestDocumentThatIsWrong(t *testing.T) {
	server := agentspec.MCPServer{Metadata: agentspec.Metadata{Name: "s"}, Spec: agentspec.MCPServerSpec{
		URL:     "https://example.com",
		OpenAPI: &agentspec.OpenAPI{Document: "openapi: 3.1.0\npaths: {/a: {get: {operationId: a}}}", Operations: []string{"b", "a"}},
	}}

	if problems := Check(&server); len(problems) != 1 ||
		problems[0].String() != `spec.openapi.operations[0]: "b": the document has no operation "b"; it has a` {
		t.Errorf("%v", problems)
	}

	server.Spec.OpenAPI.Document = "swagger: 2.0"
	if problems := Check(&server); len(problems) != 1 || !strings.Contains(problems[0].String(), "want a document of OpenAPI 3.0 or 3.1") {
		t.Errorf("%v", problems)
	}

	// Who declared it is told, and the others' tools are there.
	down := newAPI(server, Config{Telemetry: testTelemetry(t)})
	if _, err := down.listed(context.Background()); err == nil || !slices.Equal([]string{"s"}, []string{down.name}) {
		t.Errorf("listed without tools: %v", err)
	}
}
