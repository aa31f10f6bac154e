package app

import (
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
)

// podLabels are those of the settings and those that Kubernetes wrote.
func (s *dataPlaneSettings) podLabels() (map[string]string, error) {
	labels := maps.Clone(s.Labels)
	if labels == nil {
		labels = map[string]string{}
	}

	if s.LabelsFile == "" {
		return labels, nil
	}

	data, err := os.ReadFile(s.LabelsFile)
	if err != nil {
		return nil, usageErrorf("dataPlane.labelsFile: %w", err)
	}

	read, err := parseLabels(string(data))
	if err != nil {
		return nil, usageErrorf("dataPlane.labelsFile %s: %w", s.LabelsFile, err)
	}

	maps.Copy(labels, read)

	return labels, nil
}

// parseLabels reads the downward API's form: lines of key="value", quoted as in Go.
func parseLabels(text string) (map[string]string, error) {
	labels := map[string]string{}

	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}

		key, quoted, _ := strings.Cut(line, "=")

		value, err := strconv.Unquote(quoted)
		if err != nil || key == "" {
			return nil, fmt.Errorf(`line %q: must be key="value", as the downward API writes labels`, line)
		}

		labels[key] = value
	}

	return labels, nil
}
