package app

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

const (
	// defaultData is the data directory of serin up.
	defaultData = ".serin"
	plainHTTP   = "http"
)

// endpoint is where a gateway is, and who speaks to it.
type endpoint struct {
	url   *url.URL
	token string
}

// endpointFlags find a gateway: the flags, then the environment, then the serin up that runs on this machine.
type endpointFlags struct {
	url, tokenFile, data string
}

func (f *endpointFlags) register(flags *pflag.FlagSet, env *Env) {
	flags.StringVar(&f.url, flagURL, env.get("SERIN_URL"), "REST address of the gateway (default: the serin up of --data)")
	flags.StringVar(&f.tokenFile, flagTokenFile, env.get("SERIN_TOKEN_FILE"), "file with a bearer token")
	flags.StringVar(&f.data, flagData, cmp.Or(env.get("SERIN_DATA"), defaultData), "data directory of the serin up to talk to")
}

// find returns the endpoint. A token file given by hand goes with any address, serin up's own only with its own.
func (f *endpointFlags) find() (endpoint, error) {
	address, tokenFile := f.url, f.tokenFile

	if address == "" {
		running, err := readRunning(f.data)
		if err != nil {
			return endpoint{}, err
		}

		address, tokenFile = running.HTTP, cmp.Or(tokenFile, running.TokenFile)
	}

	parsed, err := url.Parse(address)
	if err != nil || (parsed.Scheme != plainHTTP && parsed.Scheme != "https") || parsed.Host == "" {
		return endpoint{}, usageErrorf("--url %q: want an address such as http://127.0.0.1:8080", address)
	}

	found := endpoint{url: parsed}
	if tokenFile != "" {
		found.token, err = readToken(tokenFile)
	}

	return found, err
}

// words are the flags that someone needs who wants to talk to the same gateway from the same environment.
func (f *endpointFlags) words(env *Env) string {
	text := ""
	word := func(flag, value, standard string) {
		if value != "" && value != standard {
			text += fmt.Sprintf(" --%s %s", flag, value)
		}
	}

	word("url", f.url, env.get("SERIN_URL"))
	word("token-file", f.tokenFile, env.get("SERIN_TOKEN_FILE"))
	word("data", f.data, cmp.Or(env.get("SERIN_DATA"), defaultData))

	return text
}

// running is the part of serin up's own word about itself that clients need.
type running struct {
	HTTP      string `json:"http"`
	TokenFile string `json:"token_file"`
}

// notRunningError is errNotRunning in a user's words.
type notRunningError struct{ data string }

func (e *notRunningError) Error() string {
	return fmt.Sprintf("no running serin up found in %s; start it with: serin up", e.data)
}

func (e *notRunningError) Is(target error) bool { return target == errNotRunning }

func readRunning(data string) (running, error) {
	path := filepath.Join(data, "run", "up.json")

	content, err := os.ReadFile(path) //nolint:gosec // the user names the directory
	if errors.Is(err, fs.ErrNotExist) {
		return running{}, &usageError{&notRunningError{data}}
	}

	found := running{}
	if err == nil {
		err = json.Unmarshal(content, &found)
	}

	if err != nil {
		return running{}, usageErrorf("%s can't be read (%w); start it anew with: serin up", path, err)
	}

	return found, nil
}

// readToken takes a file that is nothing but a token, or the first token of a gateway's own token file.
func readToken(path string) (string, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the user names the file
	if err != nil {
		return "", usageErrorf("--token-file: %w", err)
	}

	text := strings.TrimSpace(string(data))
	if text != "" && !strings.ContainsAny(text, " \t\r\n") {
		return text, nil
	}

	entries := []struct {
		Token string `yaml:"token"`
	}{}

	if yaml.Unmarshal(data, &entries) == nil {
		for _, entry := range entries {
			if entry.Token != "" {
				return entry.Token, nil
			}
		}
	}

	return "", usageErrorf("--token-file %s: want a file with one token, or a gateway's token file with a readable token", path)
}

func (e endpoint) String() string { return fmt.Sprint(e.url) }
