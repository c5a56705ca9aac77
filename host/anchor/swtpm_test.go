package anchor

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"motte/internal/testutil"
)

// softTPM is a process of swtpm, with a directory for its state. It replaces a real TPM in its
// answers only: its state is a plain file, which does not protect from an attacker.
type softTPM struct {
	t      *testing.T
	dir    string
	flags  string
	cmd    *exec.Cmd
	ended  chan struct{}
	output strings.Builder // read it after the process has ended
}

// startTPM starts a new TPM. It skips the test if swtpm is missing.
func startTPM(t *testing.T) *softTPM {
	t.Helper()
	s := &softTPM{t: t, dir: shortDir(t), flags: "not-need-init,startup-clear"}
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *softTPM) socket() string { return filepath.Join(s.dir, "sock") }

func (s *softTPM) spec(options string) string { return "tpm:unix:" + s.socket() + options }

func (s *softTPM) link() connection { return connection{path: s.socket(), socket: true} }

func (s *softTPM) call() call { return call{context.Background(), s.link()} }

func (s *softTPM) start() {
	s.t.Helper()
	path, err := exec.LookPath("swtpm")
	if err != nil {
		if os.Getenv("MOTTE_REQUIRE_SWTPM") == "1" {
			s.t.Fatal("swtpm is not installed, and MOTTE_REQUIRE_SWTPM asks for it: .ci/install installs it")
		}
		s.t.Skip("swtpm is not installed, so TPMs are not tested: .ci/install installs it")
	}
	s.output.Reset()
	s.cmd = exec.Command(path, "socket", "--tpm2", "--tpmstate", "dir="+s.dir,
		"--server", "type=unixio,path="+s.socket(), "--flags", s.flags)
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.ended = make(chan struct{})
	go func() {
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	for deadline := time.Now().Add(testutil.Patience); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("unix", s.socket())
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-s.ended:
			s.t.Fatalf("swtpm ended: %s", s.output.String())
		default:
		}
		if time.Now().After(deadline) {
			s.kill()
			s.t.Fatalf("swtpm does not listen: %v: %s", err, s.output.String())
		}
	}
}

// kill ends the TPM as a power cut would.
func (s *softTPM) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// foreignIndex is an index that another program defines and writes.
type foreignIndex struct {
	index    tpm2.TPMHandle
	size     uint16
	alter    func(*tpm2.TPMSNVPublic) // changes the public area that Motte would define
	password string
	content  []byte // nil: the index is not written
}

func (s *softTPM) define(x foreignIndex) {
	s.t.Helper()
	ours := &tpm{index: x.index}
	public := ours.public()
	public.DataSize = x.size
	if x.alter != nil {
		x.alter(&public)
	}
	_, err := tpm2.NVDefineSpace{
		AuthHandle: tpm2.TPMRHOwner,
		Auth:       tpm2.TPM2BAuth{Buffer: []byte(x.password)},
		PublicInfo: tpm2.New2B(public),
	}.Execute(s.call())
	if err != nil {
		s.t.Fatalf("define index %#x: %v", x.index, err)
	}
	if x.content == nil {
		return
	}
	handle, named := s.authorized(x.index, x.password)
	if public.Attributes.NT == tpm2.TPMNTCounter {
		_, err = tpm2.NVIncrement{AuthHandle: handle, NVIndex: named}.Execute(s.call())
	} else {
		_, err = tpm2.NVWrite{AuthHandle: handle, NVIndex: named,
			Data: tpm2.TPM2BMaxNVBuffer{Buffer: x.content}}.Execute(s.call())
	}
	if err != nil {
		s.t.Fatalf("write index %#x: %v", x.index, err)
	}
}

// authorized reads the index's name from the TPM, for a command with a password.
func (s *softTPM) authorized(index tpm2.TPMHandle, password string) (tpm2.AuthHandle, tpm2.NamedHandle) {
	s.t.Helper()
	answer, err := tpm2.NVReadPublic{NVIndex: index}.Execute(s.call())
	if err != nil {
		s.t.Fatal(err)
	}
	return tpm2.AuthHandle{Handle: index, Name: answer.NVName, Auth: tpm2.PasswordAuth([]byte(password))},
		tpm2.NamedHandle{Handle: index, Name: answer.NVName}
}

// content returns the content of an index, and its attributes.
func (s *softTPM) content(x foreignIndex) (string, tpm2.TPMANV) {
	s.t.Helper()
	answer, err := tpm2.NVReadPublic{NVIndex: x.index}.Execute(s.call())
	if err != nil {
		s.t.Fatal(err)
	}
	public, err := answer.NVPublic.Contents()
	if err != nil {
		s.t.Fatal(err)
	}
	if x.content == nil {
		return "", public.Attributes
	}
	handle, named := s.authorized(x.index, x.password)
	read, err := tpm2.NVRead{AuthHandle: handle, NVIndex: named, Size: public.DataSize}.Execute(s.call())
	if err != nil {
		s.t.Fatal(err)
	}
	return string(read.Data.Buffer), public.Attributes
}

// undefine removes an index, like root.
func (s *softTPM) undefine(index tpm2.TPMHandle) {
	s.t.Helper()
	_, named := s.authorized(index, "")
	if _, err := (tpm2.NVUndefineSpace{AuthHandle: tpm2.TPMRHOwner, NVIndex: named}).Execute(s.call()); err != nil {
		s.t.Fatal(err)
	}
}
