// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/load"
	"github.com/fairlead-go/fairlead/examples/shop/internal/registries"
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

	registry string
	scale    scale
	churn    time.Duration
	outage   time.Duration

	// namespace keeps two shops apart that share a registry. Like service and peers, it is
	// for the processes that -processes starts.
	namespace      string
	service, peers string
}

// scale says how many instances of a service there are to be.
type scale map[string]int

// maxInstances bounds the instances of one service.
const maxInstances = 20

// String implements [flag.Value].
func (s scale) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		parts = append(parts, fmt.Sprintf("%s=%d", name, s[name]))
	}
	return strings.Join(parts, ",")
}

// Set implements [flag.Value].
func (s scale) Set(text string) error {
	if text == "" {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, number, _ := strings.Cut(part, "=")
		n, err := strconv.Atoi(number)
		switch {
		case !slices.Contains(app.Scalable(), name):
			return fmt.Errorf("service %q: must be one of %s", name, strings.Join(app.Scalable(), ", "))
		case err != nil || n < 1 || n > maxInstances:
			return fmt.Errorf("%s=%q: must be a number from 1 to %d", name, number, maxInstances)
		}
		s[name] = n
	}
	return nil
}

// parseFlags reads the command line. It prints usage, and what is wrong with a
// flag's form, on out.
func parseFlags(args []string, out io.Writer) (options, error) {
	o := options{scale: make(scale)}
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
	f.BoolVar(&o.processes, "processes", false, "run each instance of a service in a process of its own")
	f.BoolVar(&o.otlp, "otlp", false, "send traces, metrics and logs to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names")
	f.BoolVar(&o.stay, "stay", false, "stay open after the load, until Ctrl-C")
	f.StringVar(&o.registry, "registry", registries.Memory, "`name` of the registry where services find each other: memory, consul or etcd; the latter two at CONSUL_HTTP_ADDR or ETCD_ENDPOINTS, or else started for this run")
	f.Var(o.scale, "scale", "how many instances there are of which services, for example `inventory=3,payment=2`; they are replaced while the load runs, see -churn")
	f.DurationVar(&o.churn, "churn", time.Second, "with -scale: `time` from one replacement to the next: an instance is added, the oldest is ended, or killed every other time with -processes; 0 replaces none")
	f.DurationVar(&o.outage, "outage", 0, "`time` for which the registry is away in the middle of the load: its server is killed, and started again")
	f.StringVar(&o.namespace, "namespace", "", "`environment` that the services are registered in; by default one of its own for each run")
	f.StringVar(&o.service, "service", "", "for -processes: the `service` to run")
	f.StringVar(&o.peers, "peers", "", "for -processes: the `addresses` of the other services, if the registry is not shared")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	var err error
	o.faults, err = chaos.Parse(o.fail)
	churn := false
	f.Visit(func(f *flag.Flag) { churn = churn || f.Name == "churn" && o.churn != 0 })
	return o, errors.Join(err, o.load.Validate(), policies.Check(o.policies, app.Names()...), registries.Check(o.registry), o.checkDiscovery(churn))
}

// checkDiscovery says what does not go together. churn says that -churn was given.
func (o options) checkDiscovery(churn bool) error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.churn >= 0, "-churn is %v, must not be negative", o.churn)
	check(o.outage >= 0, "-outage is %v, must not be negative", o.outage)
	check(!churn || len(o.scale) > 0, "-churn needs -scale, to know of which services there can be several")
	if o.namespace != "" {
		errs = append(errs, discovery.Namespace(o.namespace).Validate())
	}
	if o.processes && o.registry == registries.Memory {
		const rule = "%s with -processes needs -registry consul or etcd: processes do not share what is in memory"
		check(len(o.scale) == 0, rule, "-scale")
		check(o.outage == 0, rule, "-outage")
	}
	return errors.Join(errs...)
}

// config returns the options as the services want them.
func (o options) config(dir string, log io.Writer) app.Config {
	return app.Config{
		Dir: dir, GatewayAddr: o.gateway, Faults: o.faults, Policies: o.policies, OTLP: o.otlp, Log: log,
		Namespace: discovery.Namespace(o.namespace), Scale: o.scale,
	}
}

// command returns the command that runs this program for one service, with variables
// besides those of this process.
func (o options) command(self, dir string, env []string) app.Command {
	return func(service, peers string) *exec.Cmd {
		//nolint:noctx // a child is ended by its parent's hand, in its turn
		cmd := exec.Command(self, "-service", service, "-peers", peers, "-data", dir, "-registry", o.registry, "-namespace", o.namespace, "-scale", o.scale.String(),
			"-gateway", o.gateway, "-fail", o.fail, "-policies", o.policies, "-log", o.log, fmt.Sprintf("-otlp=%v", o.otlp))
		cmd.Env = append(os.Environ(), env...)
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
