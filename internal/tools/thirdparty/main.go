// Command thirdparty writes the .proto files that Serin's protos import, printed from the descriptors in pinned Go
// modules: go.sum pins them, and buf needs no registry.
package main

import (
	"fmt"
	"os"

	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/jhump/protoreflect/v2/protoprint"
	_ "google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "thirdparty:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: thirdparty DIR")
	}

	var files []protoreflect.FileDescriptor

	for _, path := range []string{"google/api/annotations.proto", "google/api/http.proto", "buf/validate/validate.proto"} {
		file, err := protoregistry.GlobalFiles.FindFileByPath(path)
		if err != nil {
			return err
		}

		files = append(files, file)
	}

	return (&protoprint.Printer{}).PrintProtosToFileSystem(files, args[0])
}
