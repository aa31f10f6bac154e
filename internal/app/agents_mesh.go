package app

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/istio/lint"
)

// meshProxyless is a mesh whose clients and servers are grpc-go's own, without sidecars.
const meshProxyless = "proxyless"

// meshFinding is what the lint found, with its place.
type meshFinding struct {
	lint.Finding

	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

func (f meshFinding) problem() agentspec.Problem {
	return agentspec.Problem{File: f.File, Line: f.Line, Column: f.Column, Field: f.Field, Message: f.Text()}
}

// meshValidation is what -o json and yaml print with --mesh.
type meshValidation struct {
	validation

	// Objects is how many of Istio's objects were read.
	Objects  int           `json:"objects"`
	Findings []meshFinding `json:"findings"`
}

// lines are problems and findings together, in the order of files and lines.
func (v *meshValidation) lines() agentspec.Problems {
	all := slices.Clone(v.Problems)
	for _, finding := range v.Findings {
		all = append(all, finding.problem())
	}

	slices.SortStableFunc(all, func(a, b agentspec.Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})

	return all
}

// err is everything that was found, if anything of it is more than risky.
func (v *meshValidation) err() error {
	if v.Valid {
		return nil
	}

	return v.lines()
}

// validateMesh checks files of agents, tool servers and Istio's objects.
func validateMesh(env *Env, paths []string, format outputFormat) error {
	found := meshValidation{
		validation: validation{Problems: agentspec.Problems{}, Agents: []agentSummary{}}, Findings: []meshFinding{},
	}

	folders, problems := readManifests(paths)
	found.Problems = append(found.Problems, problems...)

	for _, folder := range folders {
		found.judge(folder)
	}

	found.Valid = len(found.Problems) == 0 &&
		!slices.ContainsFunc(found.Findings, func(f meshFinding) bool { return f.Fatal() })

	if format != formatText {
		return errors.Join(found.err(), printValue(env.Stdout, format, found))
	}

	if err := found.err(); err != nil {
		return err
	}

	return found.print(env)
}

// judge adds what there is to say of a folder's files.
func (v *meshValidation) judge(folder *manifests) {
	for _, document := range folder.istio {
		object, problems := document.decode()
		v.Problems = append(v.Problems, problems...)

		if object == nil {
			continue
		}

		v.Objects++

		for _, finding := range lint.Proxyless(object) {
			where := document.place(finding.Field)
			v.Findings = append(v.Findings, meshFinding{finding, document.file, where.Line, where.Column})
		}
	}

	if !folder.others {
		return
	}

	set, err := agentspec.LoadFS(folder, folder.dir)

	if problems, bad := errors.AsType[agentspec.Problems](err); bad { // it is nothing else
		v.Problems = append(v.Problems, problems...)

		return
	}

	v.Problems = append(v.Problems, checkServers(set)...)
	v.Agents = append(v.Agents, summarize(set)...)
	v.Servers += len(set.Servers)
}

// print says that all is right, but for what is risky.
func (v *meshValidation) print(env *Env) error {
	p := paint{env.colours()}

	for _, line := range v.lines() {
		if _, err := fmt.Fprintln(env.Stderr, printable(line.String())); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}

	for _, agent := range v.Agents {
		if _, err := fmt.Fprintf(env.Stdout, "%s %s %s\n", p.good("ok"), agent.Name, p.dim(agentspec.Short(agent.Revision))); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}

	verdict := "nothing to object to"
	if len(v.Findings) > 0 {
		verdict = count(len(v.Findings), "risk")
	}

	return write(env.Stdout, fmt.Appendf(nil, "%s, %s and %s of the mesh: %s\n", count(len(v.Agents), "agent"),
		count(v.Servers, "tool server"), count(v.Objects, "object"), verdict))
}
