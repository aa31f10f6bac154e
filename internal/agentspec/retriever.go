package agentspec

import (
	"io/fs"
	"path"
	"strings"
)

// Retriever is the sidecar that the agent asks for passages of documents before it builds a prompt. The documents are data,
// as what tools answer is: a change of them is no new revision.
type Retriever struct {
	// Documents are where the documents are: Markdown, text and HTML.
	//
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, (has(a.folder) ? a.folder : '') == (has(b.folder) ? b.folder : '') && (has(a.configMap) ? a.configMap : '') == (has(b.configMap) ? b.configMap : '') && (has(a.url) ? a.url : '') == (has(b.url) ? b.url : '')))",message="a place of documents is named twice"
	Documents []Documents `json:"documents" required:"true" max:"16"`
	// Model is the embedding model that the ambassador is asked for; without one, words alone count.
	Model string `json:"model,omitempty" max:"256"`
	// Passages is the most that one prompt holds.
	Passages int32 `json:"passages,omitempty" default:"5" min:"1" max:"20"`
	// Timeout is how long a turn waits for them; then it goes on without.
	Timeout Duration `json:"timeout,omitempty" default:"2s" min:"50ms" max:"30s"`
}

// Documents is one place of documents: exactly one of folder, configMap and url.
//
// +kubebuilder:validation:XValidation:rule="!has(self.allowPrivate) || !self.allowPrivate || (has(self.url) && size(self.url) > 0)",fieldPath=".allowPrivate",message="has a meaning with url only"
// +kubebuilder:validation:XValidation:rule="[has(self.folder) && size(self.folder) > 0, has(self.configMap) && size(self.configMap) > 0, has(self.url) && size(self.url) > 0].filter(given, given).size() == 1",messageExpression="'want exactly one of folder, configMap, url; %d are set'.format([[has(self.folder) && size(self.folder) > 0, has(self.configMap) && size(self.configMap) > 0, has(self.url) && size(self.url) > 0].filter(given, given).size()])"
type Documents struct {
	// Folder is a path below the folder of the agent's file, read with all that is below it. Only one machine has folders: a
	// cluster refuses it.
	//
	// +kubebuilder:validation:XValidation:rule="size(self) == 0",message="a cluster has no folders: put the documents into a ConfigMap and give configMap, or give url"
	Folder string `json:"folder,omitempty" max:"1024"`
	// ConfigMap is the name of a ConfigMap of the agent's namespace, each of whose keys is a document. Only a cluster has
	// ConfigMaps.
	ConfigMap string `json:"configMap,omitempty" format:"subdomain"`
	// URL is one document, http or https.
	URL string `json:"url,omitempty" format:"url" max:"2048"`
	// AllowPrivate lets a URL lead to this machine or into a private network, which is refused otherwise. Link-local
	// addresses, where clouds keep their secrets, stay refused.
	AllowPrivate bool `json:"allowPrivate,omitempty"`
}

func (v *validator) retriever(retriever *Retriever) {
	if retriever == nil {
		return
	}

	seen := map[string]bool{}

	for i, one := range retriever.Documents {
		field, place := at("spec.retriever.documents", i), strings.TrimSuffix(one.Folder, "/")+" "+one.ConfigMap+" "+one.URL

		switch set := one.sources(); {
		case set != 1:
			v.add(field, "want exactly one of folder, configMap, url; %d are set", set)
		case one.AllowPrivate && one.URL == "":
			v.add(field+".allowPrivate", "has a meaning with url only")
		case seen[place]:
			v.add(field, "%s is named twice", quote(strings.TrimSpace(place)))
		}

		seen[place] = true
	}
}

// sources is how many places are named.
func (d *Documents) sources() int {
	set := 0

	for _, one := range []string{d.Folder, d.ConfigMap, d.URL} {
		if one != "" {
			set++
		}
	}

	return set
}

// findDocuments looks for what one machine has of an agent's documents.
func findDocuments(fsys fs.FS, doc *document) {
	if doc.agent.Spec.Retriever == nil {
		return
	}

	for i := range doc.agent.Spec.Retriever.Documents {
		place := &doc.agent.Spec.Retriever.Documents[i]
		field := at("spec.retriever.documents", i)

		if place.ConfigMap != "" && !doc.report.follows(field+".configMap") {
			doc.report.add(field+".configMap", "only a cluster has ConfigMaps: to run it here, give folder or url instead")
		}

		if place.Folder == "" || place.sources() > 1 {
			continue
		}

		name := path.Clean(strings.ReplaceAll(place.Folder, `\`, "/"))

		info, err := fs.Stat(fsys, name)

		switch {
		case !fs.ValidPath(name) || name == ".":
			doc.report.add(field+".folder", "%s: want a path below the folder of this file", quote(place.Folder))
		case err != nil:
			doc.report.add(field+".folder", "%s: %s", quote(place.Folder), reason(err))
		case !info.IsDir():
			doc.report.add(field+".folder", "%s: not a folder", quote(place.Folder))
		}

		place.Folder = name
	}
}
