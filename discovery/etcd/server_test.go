// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery/etcd"
	"github.com/fairlead-go/fairlead/internal/servers"
)

// process is a real etcd: a member of a cluster, which may be the only one.
type process struct {
	t        testing.TB
	path     string
	args     []string
	dir      string
	endpoint string
	cmd      *exec.Cmd
	log      *bytes.Buffer
	exited   chan struct{}
}

// startServer starts an etcd of one member, with these flags besides.
func startServer(t testing.TB, flags ...string) *process {
	t.Helper()
	p := newMembers(t, 1, "http", flags...)[0]
	p.start()
	p.ready()
	return p
}

// startCluster starts an etcd of three members.
func startCluster(t testing.TB) []*process {
	t.Helper()
	members := newMembers(t, 3, "http")
	for _, p := range members {
		p.start()
	}
	for _, p := range members {
		p.ready()
	}
	return members
}

// newMembers returns the members of a cluster that has not started. Its elections are
// quick, and what it writes need not outlast the machine.
func newMembers(t testing.TB, n int, scheme string, flags ...string) []*process {
	t.Helper()
	path := servers.Need(t, "etcd")
	members, peers, cluster := make([]*process, n), make([]string, n), make([]string, n)
	for i := range members {
		peers[i] = "http://" + freeAddress(t)
		cluster[i] = fmt.Sprintf("m%d=%s", i, peers[i])
	}
	for i := range members {
		p := &process{t: t, path: path, dir: filepath.Join(t.TempDir(), "data"), endpoint: scheme + "://" + freeAddress(t)}
		p.args = append([]string{
			"--name", "m" + strconv.Itoa(i), "--data-dir", p.dir, "--log-level", "error", "--unsafe-no-fsync",
			"--heartbeat-interval", "50", "--election-timeout", "500",
			"--listen-client-urls", p.endpoint, "--advertise-client-urls", p.endpoint,
			"--listen-peer-urls", peers[i], "--initial-advertise-peer-urls", peers[i], "--initial-cluster", strings.Join(cluster, ","),
		}, flags...)
		members[i] = p
		t.Cleanup(p.kill)
	}
	return members
}

var taken struct {
	sync.Mutex
	ports map[int]bool
}

// freeAddress returns an address that nobody else gets, and the system gives to no
// connection: a server that is away for a while has to find it free.
func freeAddress(t testing.TB) string {
	t.Helper()
	taken.Lock()
	defer taken.Unlock()
	for range 1000 {
		port := 15000 + rand.IntN(17000)
		if taken.ports[port] {
			continue
		}
		address := "127.0.0.1:" + strconv.Itoa(port)
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		_ = l.Close()
		if taken.ports == nil {
			taken.ports = map[int]bool{}
		}
		taken.ports[port] = true
		return address
	}
	t.Fatal("no free port")
	return ""
}

func (p *process) start() {
	p.t.Helper()
	p.log = &bytes.Buffer{}
	p.cmd = exec.Command(p.path, p.args...)
	servers.EndWithParent(p.cmd)
	p.cmd.Stderr = p.log
	// It refuses to start if a variable says what a flag says.
	p.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ETCD_") })
	if err := p.cmd.Start(); err != nil {
		p.t.Fatalf("start etcd: %v", err)
	}
	cmd, exited := p.cmd, make(chan struct{})
	p.exited = exited
	go func() {
		defer close(exited)
		_ = cmd.Wait() // it is killed
	}()
}

// ready waits until the server can be written to.
func (p *process) ready() {
	p.t.Helper()
	if !strings.HasPrefix(p.endpoint, "http://") {
		p.waitFor(func(ctx context.Context) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(p.endpoint, "https://"))
			if err == nil {
				_ = conn.Close()
			}
			return err
		})
		return
	}
	b, err := etcd.New(etcd.WithEndpoints(p.endpoint))
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	p.waitFor(func(ctx context.Context) error {
		c, err := b.Inspect(ctx)
		if err == nil && c.Leader == "" {
			return fmt.Errorf("no leader: %+v", c)
		}
		return err
	})
}

func (p *process) waitFor(try func(context.Context) error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			p.t.Fatalf("etcd is not ready: %v\n%s", err, p.log)
		case <-p.exited:
			p.t.Fatalf("etcd has ended: %v\n%s", err, p.log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kill ends the process as a crash does.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // it may be stopped
	_ = p.cmd.Process.Kill()
	<-p.exited
	p.cmd = nil
}

func (p *process) restart() {
	p.t.Helper()
	p.kill()
	p.start()
	p.ready()
}

// wipe is a crash that takes the disk along.
func (p *process) wipe() {
	p.t.Helper()
	p.kill()
	if err := os.RemoveAll(p.dir); err != nil {
		p.t.Fatal(err)
	}
}

// stop makes the process do nothing, and returns what makes it go on.
func (p *process) stop() (cont func()) {
	_ = p.cmd.Process.Signal(syscall.SIGSTOP)
	return func() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }
}

func endpoints(members []*process) []string {
	var out []string
	for _, p := range members {
		out = append(out, p.endpoint)
	}
	return out
}

// leader returns the member that leads.
func leader(t testing.TB, b *etcd.Backend, members []*process) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	c, err := b.Inspect(ctx)
	if err != nil || c.Leader == "" {
		t.Fatalf("no leader: %+v, %v", c, err)
	}
	i := slices.IndexFunc(members, func(p *process) bool { return slices.Contains(p.args, c.Leader) })
	return members[i]
}

func realBackend(t testing.TB, opts ...etcd.Option) *etcd.Backend {
	t.Helper()
	b, err := etcd.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}
