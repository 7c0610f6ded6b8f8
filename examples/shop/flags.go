// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/load"
	"github.com/fairlead-go/fairlead/examples/shop/policies"
)

// options are the flags.
type options struct {
	load      load.Config
	gateway   string
	data      string
	log       string
	fail      string
	faults    chaos.Faults
	policies  string
	processes bool
	otlp      bool
	stay      bool

	// service and peers are for the processes that -processes starts.
	service, peers string
}

// parseFlags reads the command line. It prints usage, and what is wrong with a
// flag's form, on out.
func parseFlags(args []string, out io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("shop", flag.ContinueOnError)
	f.SetOutput(out)
	f.IntVar(&o.load.Requests, "requests", 2000, "`number` of requests to make; 0 is until Ctrl-C")
	f.Float64Var(&o.load.Rate, "rate", 200, "requests started a `second`; 0 is as many as can be")
	f.IntVar(&o.load.Concurrency, "concurrency", 64, "`number` of requests under way at once")
	f.DurationVar(&o.load.Duration, "duration", 0, "longest `time` to make requests; 0 is no bound")
	f.Uint64Var(&o.load.Seed, "seed", 1, "`number` that decides who asks for what")
	f.StringVar(&o.gateway, "gateway", "127.0.0.1:0", "`address` of the gateway")
	f.StringVar(&o.data, "data", "", "`folder` of the databases; by default one that is removed at the end")
	f.StringVar(&o.log, "log", "", "`file` for the services' log lines in JSON; - is standard error")
	f.StringVar(&o.fail, "fail", "", "what is wrong, for example `payment=flap:2s/3s,db=slow:20ms`; see README.md")
	f.StringVar(&o.policies, "policies", "", "`folder` of the policies, a file for each service, or off; by default those of ./policies as compiled in")
	f.BoolVar(&o.processes, "processes", false, "run each service in a process of its own")
	f.BoolVar(&o.otlp, "otlp", false, "send traces, metrics and logs to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names")
	f.BoolVar(&o.stay, "stay", false, "stay open after the load, until Ctrl-C")
	f.StringVar(&o.service, "service", "", "for -processes: the `service` to run")
	f.StringVar(&o.peers, "peers", "", "for -processes: where the other services are, in `JSON`")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	var err error
	o.faults, err = chaos.Parse(o.fail)
	return o, errors.Join(err, o.load.Validate(), policies.Check(o.policies, app.Names()...))
}

// config returns the options as the services want them.
func (o options) config(dir string, log io.Writer) app.Config {
	return app.Config{Dir: dir, GatewayAddr: o.gateway, Faults: o.faults, Policies: o.policies, OTLP: o.otlp, Log: log}
}

// command returns the command that runs this program for one service.
func (o options) command(self, dir string) app.Command {
	return func(service, peers string) *exec.Cmd {
		//nolint:noctx // a child is ended by its parent's hand, in its turn
		cmd := exec.Command(self, "-service", service, "-peers", peers, "-data", dir,
			"-gateway", o.gateway, "-fail", o.fail, "-policies", o.policies, "-log", o.log, fmt.Sprintf("-otlp=%v", o.otlp))
		cmd.Stderr = os.Stderr // a child that cannot start says why
		return cmd
	}
}

// openLog opens the log; nil is none.
func (o options) openLog() (io.WriteCloser, error) {
	switch o.log {
	case "":
		return nil, nil
	case "-":
		return nopCloser{os.Stderr}, nil
	default:
		return os.OpenFile(o.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
