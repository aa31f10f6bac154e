// Command serin runs teams of LLM agents, and rolls their changes out as canaries.
package main

import (
	_ "embed"
	"os"

	"github.com/serinhq/serin/internal/app"
)

//go:embed gen/openapi/serin.swagger.json
var openAPI []byte

func main() { os.Exit(app.Main(openAPI)) }
