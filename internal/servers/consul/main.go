// SPDX-License-Identifier: Apache-2.0

// Command consul is the Consul server that the tests and the shop run: its
// agent, and what tells its version. Consul's own main package does not build
// from its published modules; see the go.mod for what stands in their place.
//
// It is a tool of this repository. Nothing that is released links it.
package main

import (
	"fmt"
	"io"
	"log"
	"os"

	"github.com/hashicorp/consul/command/agent"
	"github.com/hashicorp/consul/command/cli"
	"github.com/hashicorp/consul/command/version"
	mcli "github.com/mitchellh/cli"
)

func main() {
	// The agent writes its log itself.
	log.SetOutput(io.Discard)
	ui := &cli.BasicUI{BasicUi: mcli.BasicUi{Writer: os.Stdout, ErrorWriter: os.Stderr}}
	code, err := (&mcli.CLI{
		Name: "consul",
		Args: os.Args[1:],
		Commands: map[string]mcli.CommandFactory{
			"agent":   func() (mcli.Command, error) { return agent.New(ui), nil },
			"version": func() (mcli.Command, error) { return version.New(ui), nil },
		},
		HelpFunc:   mcli.BasicHelpFunc("consul"),
		HelpWriter: os.Stdout,
	}).Run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
