package app

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/serinhq/serin/gateway"
)

// The URL may hold a password: the gateway alone is told it, and no error tells it on.
func TestRedisIsForTheGatewayAlone(t *testing.T) {
	const url = "redis://:s3cret@127.0.0.1:1"

	for name, config := range map[string]PlatformConfig{"flag": {Redis: url}, "environment": {}} {
		env := &Env{Environ: []string{redisVariable + "=" + url}, Getenv: func(string) string { return url }}

		platform := &Platform{env: env, config: config}
		if err := platform.checkRedis(); err != nil {
			t.Fatal(err)
		}

		for _, room := range []string{"agent", "ambassador", "context", "controller", "gateway", "mesh", "tools"} {
			told := slices.ContainsFunc(platform.environment(room), func(variable string) bool { return strings.Contains(variable, "s3cret") })
			if told != (room == "gateway") {
				t.Errorf("%s: %s is told of it: %t", name, room, told)
			}
		}

		if err := platform.redisProblem(t.Context()); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRedisThatCannotBeUnderstood(t *testing.T) {
	for _, c := range []struct {
		config      PlatformConfig
		environment string
		want        string
	}{
		{PlatformConfig{Redis: "http://:s3cret@redis"}, "", "--redis: it does not begin with redis:// or rediss://: must be redis://"},
		{PlatformConfig{}, "redis://:s3cret/@redis", redisVariable + ": it can't be read as a URL: must be redis://"},
		{PlatformConfig{Door: gateway.Door{Redis: gateway.Sharing{Limits: gateway.Closed}}}, "", "--redis-limits and --redis-keys: are of no use without --redis URL, or " + redisVariable},
		{PlatformConfig{Redis: "redis://redis", Door: gateway.Door{Redis: gateway.Sharing{Limits: "ajar"}}}, "", `--redis-limits: "ajar": must be open or closed`},
	} {
		env := &Env{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}, Getenv: func(name string) string {
			return map[string]string{redisVariable: c.environment}[name]
		}}
		c.config.Data = t.TempDir()

		_, err := OpenPlatform(env, c.config)
		if ExitCode(err) != exitUsage || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

func TestGatewayPodWithRedis(t *testing.T) {
	for _, c := range []struct {
		url         string
		settings    gateway.Sharing
		want        string
		informative bool
	}{
		{"", gateway.Sharing{}, "", false},
		{"redis://redis", gateway.Sharing{}, "", true},
		{"redis://redis", gateway.Sharing{Limits: gateway.Closed}, "", false},
		{"", gateway.Sharing{Limits: gateway.Closed}, "gateway.redis: is of no use without the environment variable " + redisVariable, false},
		{"redis://s3cret@redis", gateway.Sharing{}, redisVariable + ": it has a user without a password", false},
	} {
		config := gatewayPod()
		config.Gateway.Redis = c.settings
		work := &workload{config: config, env: &Env{Getenv: func(string) string { return c.url }}}

		opened, err := work.openRedis()

		switch {
		case c.want != "" && (ExitCode(err) != exitUsage || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret")):
			t.Errorf("%v, want %s", err, c.want)
		case c.want == "" && (err != nil || (opened == nil) != (c.url == "")):
			t.Errorf("%v, %v", opened, err)
		case opened != nil && work.redisCheck(opened).Informative != c.informative:
			t.Errorf("%+v: it is to be told only: %t", c.settings, !c.informative)
		}

		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	}
}
