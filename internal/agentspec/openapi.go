package agentspec

import (
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"
)

const openAPIFile = "spec.openapi.file"

// readOpenAPI puts the text of a server's document in the place of its file.
func readOpenAPI(fsys fs.FS, doc *document) {
	api := doc.server.Spec.OpenAPI
	if api == nil || api.File == "" || doc.report.follows(openAPIFile) {
		return
	}

	name := path.Clean(strings.ReplaceAll(api.File, `\`, "/"))
	if !fs.ValidPath(name) || name == "." {
		doc.report.add(openAPIFile, "%s: want a path at or below the folder of this file", quote(api.File))

		return
	}

	data, err := read(fsys, name)

	switch {
	case err != nil:
		doc.report.add(openAPIFile, "%s: %s", quote(api.File), reason(err))
	case !utf8.Valid(data):
		doc.report.add(openAPIFile, "%s: not valid UTF-8", quote(api.File))
	case isBlank(string(data)):
		doc.report.add(openAPIFile, "%s: the document is blank", quote(api.File))
	default:
		api.File, api.Document = "", string(data)
	}
}
