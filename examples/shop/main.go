// SPDX-License-Identifier: Apache-2.0

// Command shop is a small web shop of five services that shows Fairlead at
// work: one request travels over HTTP, gRPC, a goroutine and a queue, and stays
// one trace, with every log line and every metric leading to it.
//
//	go run ./examples/shop              # from the root of the repository
//	go run ./examples/shop -help
//
// It starts the services, sends them a bounded load with everything in it that
// goes wrong in a real shop, and prints what to look at. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if err := shop(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

// shop is main with an error.
func shop(args []string) error {
	o, err := parseFlags(args, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if o.service != "" {
		return runChild(o)
	}
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer release()
	context.AfterFunc(ctx, release) // a second Ctrl-C ends the process at once
	return run(ctx, o, os.Stdout)
}
