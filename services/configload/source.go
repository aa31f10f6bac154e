package configload

import (
	"net/url"
	"path/filepath"
	"strings"
)

const (
	schemeFile  = "file"
	schemeHTTP  = "http"
	schemeHTTPS = "https"
	schemeOCI   = "oci"
)

const wantURL = "want file:///path, https://host/path or, with --allow-http, http://host/path"

// parseSource reads a URL, or the path of a file; problem says why it is none.
func parseSource(text string) (at *url.URL, problem string) {
	if filepath.IsAbs(text) {
		return &url.URL{Scheme: schemeFile, Path: text}, ""
	}

	at, err := url.Parse(text)
	if err != nil {
		return nil, "not a URL: " + wantURL
	}

	switch at.Scheme {
	case schemeFile:
		return at, fileProblem(at)
	case schemeHTTP, schemeHTTPS:
		return at, webProblem(at)
	case schemeOCI:
		return nil, "oci is not supported yet: " + wantURL
	case "":
		return nil, "not a URL: " + wantURL
	default:
		return nil, "the scheme " + at.Scheme + " is unknown: " + wantURL
	}
}

func fileProblem(at *url.URL) string {
	switch {
	case at.Host != "" && at.Host != "localhost":
		return "a file is on this machine: want file:/// and an absolute path, with three slashes"
	case !filepath.IsAbs(at.Path):
		return "want file:/// and an absolute path, with three slashes"
	case strings.ContainsRune(at.Path, 0), at.RawQuery != "", at.Fragment != "":
		return "want file:/// and an absolute path, without query and fragment"
	default:
		return ""
	}
}

func webProblem(at *url.URL) string {
	switch {
	case at.Hostname() == "":
		return "it names no host: " + wantURL
	case at.User != nil:
		return "want a URL without user and password, which would be shown in logs"
	case at.Fragment != "":
		return "want a URL without a fragment, which stores are not asked for"
	default:
		return ""
	}
}

// shown is a URL as messages have it: a query may hold a signature that lets in whoever has it.
func shown(at *url.URL) string {
	clean := *at
	clean.User, clean.Fragment = nil, ""

	if clean.RawQuery != "" {
		clean.RawQuery = "..."
	}

	return clean.String()
}

// hideSecrets is shown, of what may be no URL.
func hideSecrets(text string) string {
	at, err := url.Parse(text)
	if err != nil {
		text, _, _ = strings.Cut(text, "?")

		if at := strings.LastIndex(text, "@"); at >= 0 {
			text = text[at:]
		}

		return text
	}

	if at.User == nil && at.RawQuery == "" {
		return text
	}

	return shown(at)
}
