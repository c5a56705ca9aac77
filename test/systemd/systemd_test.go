// Package systemd runs the units in /systemd under systemd in a container with its own root, and
// checks them with systemd-analyze verify. It needs root, systemd, systemd-nspawn, and a machine
// that can boot a container.
package systemd

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"motte/internal/procfs"
	"motte/internal/testutil"
)

const (
	units    = "../../systemd"
	required = "MOTTE_REQUIRE_SYSTEMD" // in the environment: a missing program fails the test, instead of skipping it
	userID   = 990                     // user ID of motte in the container
	bootTime = time.Minute
)

var unitNames = []string{"motte.service", "motte-backup.service", "motte-backup.timer"}

// need skips a test if a program is missing, or fails it if systemd is required.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv(required) == "1" {
				t.Fatalf("%s asks for it: %v", required, err)
			}
			t.Skipf("the program %s is missing", name)
		}
	}
}

// TestTheUnitsAreInTheDocs: the page must show the units as they are.
func TestTheUnitsAreInTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/how-to/run-as-a-service.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range unitNames {
		unit, err := os.ReadFile(filepath.Join(units, name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), "```ini\n"+string(unit)+"```\n") {
			t.Errorf("docs/how-to/run-as-a-service.md must show the content of systemd/%s", name)
		}
	}
}

// TestSystemdVerifiesTheUnits: systemd must know every setting, and find the files that the
// units name.
func TestSystemdVerifiesTheUnits(t *testing.T) {
	need(t, "systemd-analyze")
	dir := t.TempDir()
	var paths []string
	for _, name := range unitNames {
		unit, err := os.ReadFile(filepath.Join(units, name))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, filepath.Join(dir, name))
		text := strings.ReplaceAll(string(unit), "/usr/local/bin/motte", filepath.Join(testutil.Executables(t), "motte"))
		if err := os.WriteFile(paths[len(paths)-1], []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no", "--recursive-errors=no"}, paths...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestTheUnitUnderSystemd starts the unit and makes its parts fail. Operators rely on the
// reaction of systemd, and on the state that it shows.
func TestTheUnitUnderSystemd(t *testing.T) {
	c := boot(t)
	c.systemctl("start", "motte") // returns when the unit is ready
	if code, text, err := c.page("/readyz"); err != nil || !strings.Contains(text, "core: ok\ncounters: ok\n") {
		t.Fatalf("systemd reports that the unit is ready, but /readyz returns %d %q, %v", code, text, err)
	}
	c.eventually("the server is ready", func() error {
		code, text, err := c.page("/readyz")
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("%d %q", code, text)
		}
		return err
	})
	c.shows(map[string]string{"StatusText": "Serving", "ActiveState": "active", "NRestarts": "0", "WatchdogUSec": "4s"})

	c.systemctl("start", "motte-backup", "motte-backup.timer")
	if files, err := os.ReadDir(filepath.Join(c.root, "mnt/backup/motte")); err != nil || len(files) == 0 {
		t.Errorf("after a run of the backup's unit the backup has %d files, %v; want more", len(files), err)
	}

	host, core := c.server()
	c.signal(core, syscall.SIGSTOP)
	c.eventually("another Core takes the place of the one that hangs", func() error {
		h, next := c.server()
		if next == core || next == 0 {
			return errors.New("the Core that hangs still runs, or no Core runs")
		}
		if h != host {
			t.Fatalf("systemd restarted the host, process %d, as process %d; want only the Core to be replaced", host, h)
		}
		return nil
	})
	c.shows(map[string]string{"StatusText": "Serving", "ActiveState": "active", "NRestarts": "0"})

	c.signal(host, syscall.SIGSTOP)
	c.shows(map[string]string{"StatusText": "Serving", "ActiveState": "active", "NRestarts": "1"})
	if next, _ := c.server(); next == host {
		t.Error("systemd does not restart a host that stopped its watchdog messages")
	}

	c.systemctl("stop", "motte")
	c.shows(map[string]string{"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"})

	c.writeKey()
	if out, err := c.try("systemctl", "start", "motte"); err == nil {
		t.Errorf("the unit starts with a wrong root key: %s", out)
	}
	c.shows(map[string]string{"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "12", "NRestarts": "0"})
}

// container is a systemd with its own root.
type container struct {
	t      *testing.T
	root   string
	leader int // process number of its systemd
}

// boot boots a container with the programs of this machine, and with Motte in /usr/local/bin. It
// skips the test if no container can boot.
func boot(t *testing.T) *container {
	t.Helper()
	need(t, "systemd", "systemd-nspawn", "nsenter", "systemctl")
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	c := &container{t: t, root: t.TempDir()}
	c.furnish()
	console, err := os.Create(filepath.Join(t.TempDir(), "console"))
	if err != nil {
		t.Fatal(err)
	}
	nspawn := exec.Command("systemd-nspawn", "--quiet", "--directory="+c.root, "--bind-ro=/usr", "--bind-ro="+testutil.Executables(t)+":/usr/local/bin",
		"--private-network", "--register=no", "--keep-unit", "--console=pipe", "--boot", "systemd.unit=basic.target")
	nspawn.Stdout, nspawn.Stderr = console, console
	if err := nspawn.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && c.leader != 0 {
			log, _ := c.try("journalctl", "--no-pager", "--lines=200")
			t.Logf("the container's journal:\n%s", log)
		}
		_ = nspawn.Process.Signal(syscall.SIGTERM) // a single SIGTERM halts the container
		halted := time.AfterFunc(bootTime, func() { _ = nspawn.Process.Kill() })
		_ = nspawn.Wait()
		halted.Stop()
		console.Close()
	})
	for end := time.Now().Add(bootTime); ; time.Sleep(100 * time.Millisecond) {
		if list := procfs.Children(nspawn.Process.Pid); len(list) == 1 && list[0].Name == "systemd" {
			c.leader = list[0].PID
			if out, _ := c.try("systemctl", "is-system-running"); strings.HasPrefix(out, "running") || strings.HasPrefix(out, "degraded") {
				return c
			}
		}
		if time.Now().After(end) || nspawn.Process.Signal(syscall.Signal(0)) != nil {
			said, _ := os.ReadFile(console.Name())
			t.Skipf("no container can boot on this machine: %s", said)
		}
	}
}

// furnish makes the root: the files that systemd and the unit need, and the unit with a shorter
// watchdog time.
func (c *container) furnish() {
	c.t.Helper()
	for _, dir := range []string{"etc/systemd/system/motte.service.d", "usr", "var", "run", "tmp", "proc", "sys", "dev", "media/key", "mnt/backup"} {
		if err := os.MkdirAll(filepath.Join(c.root, dir), 0o755); err != nil {
			c.t.Fatal(err)
		}
	}
	for _, name := range []string{"bin", "lib", "lib64", "sbin"} {
		if err := os.Symlink("usr/"+name, filepath.Join(c.root, name)); err != nil {
			c.t.Fatal(err)
		}
	}
	files := map[string]string{
		"etc/os-release": "ID=test\n", "etc/machine-id": "",
		"etc/passwd": fmt.Sprintf("root:x:0:0::/:/bin/sh\nmotte:x:%d:%[1]d::/var/lib/motte:/usr/sbin/nologin\n", userID),
		"etc/group":  fmt.Sprintf("root:x:0:\nmotte:x:%d:\n", userID),
		"etc/systemd/system/motte.service.d/quick.conf": "[Service]\nWatchdogSec=4\nRestartSec=0\n",
	}
	for _, name := range unitNames {
		unit, err := os.ReadFile(filepath.Join(units, name))
		if err != nil {
			c.t.Fatal(err)
		}
		files[filepath.Join("etc/systemd/system", name)] = string(unit)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(c.root, name), []byte(text), 0o644); err != nil {
			c.t.Fatal(err)
		}
	}
	// The user motte must be able to read all files, whatever the umask is.
	if out, err := exec.Command("chmod", "-R", "a+rX", c.root).CombinedOutput(); err != nil {
		c.t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chown(filepath.Join(c.root, "mnt/backup"), userID, userID); err != nil {
		c.t.Fatal(err)
	}
	c.writeKey()
}

// writeKey writes a new root key, in the way that the page describes.
func (c *container) writeKey() {
	c.t.Helper()
	var key [32]byte
	_, _ = rand.Read(key[:])
	path := filepath.Join(c.root, "media/key/motte.key")
	err := os.WriteFile(path, []byte("motte-root-key-v1 "+hex.EncodeToString(key[:])+"\n"), 0o600)
	if err := errors.Join(err, os.Chown(path, userID, userID)); err != nil {
		c.t.Fatal(err)
	}
}

// try runs a program in the container.
func (c *container) try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*bootTime)
	defer cancel()
	into := []string{"--target", strconv.Itoa(c.leader), "--mount", "--pid", "--uts", "--ipc", "--net", "--root", "--wd", name}
	out, err := exec.CommandContext(ctx, "nsenter", append(into, args...)...).CombinedOutput()
	return string(out), err
}

func (c *container) systemctl(args ...string) string {
	c.t.Helper()
	out, err := c.try("systemctl", args...)
	if err != nil {
		c.t.Fatalf("systemctl %v: %v\n%s", args, err, out)
	}
	return out
}

// shows waits until systemd shows these properties of the unit.
func (c *container) shows(want map[string]string) {
	c.t.Helper()
	c.eventually(fmt.Sprint("systemd shows ", want), func() error {
		out := c.systemctl("show", "motte")
		for name, value := range want {
			if !strings.Contains(out, "\n"+name+"="+value+"\n") {
				_, is, _ := strings.Cut(out, "\n"+name+"=")
				is, _, _ = strings.Cut(is, "\n")
				return fmt.Errorf("%s=%s", name, is)
			}
		}
		return nil
	})
}

// eventually repeats f until it succeeds.
func (c *container) eventually(what string, f func() error) {
	c.t.Helper()
	var err error
	for end := time.Now().Add(2 * bootTime); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	c.t.Fatalf("%s: %v", what, err)
}

// server returns the process numbers, outside of the container, of the host and its Core; 0: no
// process.
func (c *container) server() (host, core int) {
	for _, p := range procfs.Children(c.leader) {
		for _, child := range procfs.Children(p.PID) {
			if child.Name == "motte-core" {
				return p.PID, child.PID
			}
		}
	}
	return 0, 0
}

func (c *container) signal(pid int, s syscall.Signal) {
	c.t.Helper()
	if pid == 0 {
		c.t.Fatal("the process that should get a signal does not run")
	}
	if err := syscall.Kill(pid, s); err != nil {
		c.t.Fatal(err)
	}
}

// page gets a page from the server's address in the container's network.
func (c *container) page(name string) (code int, text string, err error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: c.dial, DisableKeepAlives: true}}
	r, err := client.Get("http://127.0.0.1:9433" + name)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return r.StatusCode, string(body), err
}

// dial connects from a thread in the container's network. The thread ends afterwards.
func (c *container) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, so that the thread ends
		var namespace *os.File
		if namespace, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", c.leader)); err != nil {
			return
		}
		defer namespace.Close()
		if err = unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err == nil {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		}
	}()
	<-done
	return conn, err
}
