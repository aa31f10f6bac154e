package configload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
)

// Service loads an agent's configuration once.
type Service struct {
	config Config
	wanted []wanted
	web    *web
}

// Result is what was laid out.
type Result struct {
	Out string `json:"out"`
	// Agent and Revision are those of the resolved agent; empty if no agent's file was given.
	Agent    string `json:"agent,omitempty"`
	Revision string `json:"revision,omitempty"`
	// Files are in the order in which they were written.
	Files []Loaded `json:"files"`
}

// Loaded is one file of the folder.
type Loaded struct {
	// Part is prompt, tools, guardrails or agent.
	Part   string `json:"part"`
	Source string `json:"source"`
	// Digest is that of the source, sha256: and 64 hex digits; empty for the agent, which has a revision.
	Digest string `json:"digest,omitempty"`
	// Pinned says that the digest was expected.
	Pinned bool   `json:"pinned"`
	File   string `json:"file"`
	// Changed says that the file was not there as it is.
	Changed bool `json:"changed"`
}

// fetcher gets the bytes at a URL: those of a part, and at most one more than a part may have, which tells that there are
// too many.
type fetcher interface {
	fetch(ctx context.Context, at *url.URL) ([]byte, error)
}

// New checks the configuration. Nothing is fetched. Errors: INVALID_ARGUMENT, with fields named as the flags of the command,
// a dot for each dash.
func New(config Config) (*Service, error) {
	sources, err := config.check()
	if err != nil {
		return nil, err
	}

	return &Service{config: config, wanted: sources, web: newWeb(&config)}, nil
}

// Run fetches and verifies everything, and then writes it. Errors are one line each, with the part and its source:
// NOT_FOUND and INVALID_ARGUMENT for what has to be changed, UNAVAILABLE for stores that can't be reached, and
// FAILED_PRECONDITION for a folder that can't be written to.
func (s *Service) Run(ctx context.Context) (*Result, error) {
	defer s.web.client.CloseIdleConnections()

	result := &Result{Out: s.config.Out, Files: []Loaded{}}
	into := agentspec.Parts{}

	files, err := s.load(ctx, &into, result)
	if err != nil {
		return nil, err
	}

	if s.config.Agent != "" {
		data, err := s.assemble(into, result)
		if err != nil {
			return nil, err
		}

		files = append(files, file{AgentFile, data}) // the last one: where it is, the others are
	}

	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("ended before anything was written: %w", err)
	}

	done, err := layOut(s.config.Out, files)
	if err != nil {
		return nil, fault.New(codes.FailedPrecondition, "FOLDER_UNUSABLE", "out: %s: %s; want a folder that this user may write to",
			s.config.Out, line(err))
	}

	for i, each := range files {
		result.Files[i].File = filepath.Join(s.config.Out, each.name)
		result.Files[i].Changed = done[each.name]
	}

	return result, nil
}

// load fetches and verifies the parts.
func (s *Service) load(ctx context.Context, into *agentspec.Parts, result *Result) ([]file, error) {
	limited, cancel := context.WithTimeout(ctx, s.config.timeout())
	defer cancel()

	files := make([]file, 0, len(s.wanted)+1)

	for _, wanted := range s.wanted {
		name, place := string(wanted.part.name), shown(wanted.at)

		data, err := s.fetcher(wanted).fetch(limited, wanted.at)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s: %s: ended before it was loaded: %w", name, place, ctx.Err())
		}

		if err != nil {
			return nil, tell(name, place, err)
		}

		if len(data) > maxPart {
			return nil, tell(name, place, &wrongError{fmt.Errorf("more than %d bytes, which is the most that it may have", maxPart)})
		}

		digest := digestOf(data)
		if wanted.digest != "" && digest != wanted.digest {
			return nil, fault.New(codes.InvalidArgument, "DIGEST_MISMATCH", "%s: %s: its digest is %s, and %s is expected",
				name, place, digest, wanted.digest)
		}

		data, err = wanted.part.take(place, data, into)
		if err != nil {
			return nil, tell(name, place, &wrongError{err})
		}

		files = append(files, file{wanted.part.names[0], data})
		result.Files = append(result.Files, Loaded{Part: name, Source: place, Digest: digest, Pinned: wanted.digest != ""})
	}

	return files, nil
}

// fetcher is who knows a scheme.
func (s *Service) fetcher(wanted wanted) fetcher {
	if wanted.at.Scheme == schemeFile {
		return disk{wanted.part.names}
	}

	return s.web
}

// assemble makes the resolved agent, and verifies its revision.
func (s *Service) assemble(into agentspec.Parts, result *Result) ([]byte, error) {
	const name = "agent"

	agent, err := agentspec.Assemble(s.config.Agent, s.config.Name, into)
	if err != nil {
		return nil, tell(name, s.config.Agent, &wrongError{inOneLine(err)})
	}

	result.Agent, result.Revision = agent.Metadata.Name, agentspec.Revision(agent)

	if !strings.HasPrefix(result.Revision, s.config.Revision) {
		return nil, fault.New(codes.InvalidArgument, "REVISION_MISMATCH", "%s: %s: with these parts it is revision %s, and %s is expected",
			name, s.config.Agent, result.Revision, s.config.Revision)
	}

	data, err := agentspec.MarshalResolved(agent)
	if err != nil {
		return nil, tell(name, s.config.Agent, &wrongError{inOneLine(err)})
	}

	result.Files = append(result.Files, Loaded{Part: name, Source: s.config.Agent, Pinned: s.config.Revision != ""})

	return data, nil
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)

	return "sha256:" + hex.EncodeToString(sum[:])
}
