package app_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/serinhq/serin/internal/app"
	"github.com/serinhq/serin/internal/health"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/testenv"
)

// A gateway whose Redis dies goes on, says so on its page, and shares again once Redis is back.
func TestGatewayOutlivesItsRedis(t *testing.T) {
	const password = "not-for-files"

	server := testenv.StartRedis(t, "--requirepass", password)
	p := startPlatform(t, func(config *app.PlatformConfig) {
		config.Redis = "redis://:" + password + "@" + server.Address
		config.Door.PerClient.PerSecond = 1000
	})

	shows := func(want string) {
		t.Helper()

		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			status, check := p.redisCheck()
			if status == want {
				return
			}

			if time.Now().After(deadline) {
				t.Fatalf("the gateway is %s: %+v", status, check)
			}
		}
	}

	shows("ok")
	server.Kill()

	if code, answer := p.call(http.MethodPost, "/v1/conversations", map[string]string{}); code != http.StatusOK {
		t.Errorf("without Redis: %d %s", code, answer)
	}

	shows("degraded")
	server.Start()
	shows("ok")

	if err := filepath.WalkDir(p.config.Data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}

		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(password)) {
			t.Errorf("the password is in %s", path)
		}

		return err
	}); err != nil {
		t.Error(err)
	}
}

// redisCheck is what the gateway's page says of itself, and of its Redis. Readiness never ends.
func (p *testPlatform) redisCheck() (status string, check health.Result) {
	p.t.Helper()

	for _, workload := range p.platform.Summary().Workloads {
		if workload.Name != rpc.Gateway {
			continue
		}

		response, err := http.Get(workload.Pages + "/health/ready")
		if err != nil {
			p.t.Fatal(err)
		}
		defer response.Body.Close()

		var page struct {
			Status string          `json:"status"`
			Checks []health.Result `json:"checks"`
		}
		if err := json.NewDecoder(response.Body).Decode(&page); err != nil || response.StatusCode != http.StatusOK {
			p.t.Fatalf("%d %+v, %v", response.StatusCode, page, err)
		}

		for _, found := range page.Checks {
			if found.Name == "redis" {
				return page.Status, found
			}
		}
	}

	p.t.Fatal("the gateway does not tell of Redis")

	return "", health.Result{}
}
