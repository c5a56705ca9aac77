package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ErrSource says that the working tree is not a clean commit.
var ErrSource = errors.New("a release is made only from a clean tree at a commit")

// commit is the source of a release.
type commit struct {
	root string // the repository
	hash string
	time time.Time
}

// cleanCommit returns the commit that is checked out in a repository. For uncommitted changes or
// files it returns an ErrSource, since the release would lack them.
func cleanCommit(root string) (commit, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return commit{}, err
	}
	inside, err := git(root, "rev-parse", "--show-prefix")
	if err != nil {
		return commit{}, fmt.Errorf("%w: %w", ErrSource, err)
	}
	if inside != "" {
		return commit{}, fmt.Errorf("%w: %s is not the top directory of a git repository", ErrSource, root)
	}
	text, err := git(root, "log", "-1", "--no-show-signature", "--format=%H %ct")
	if err != nil {
		return commit{}, fmt.Errorf("%w: %w", ErrSource, err)
	}
	hash, seconds, _ := strings.Cut(text, " ")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return commit{}, fmt.Errorf("the time of commit %s: %w", hash, err)
	}
	changes, err := git(root, "status", "--porcelain", "--untracked-files=all")
	if err != nil {
		return commit{}, err
	}
	if changes != "" {
		return commit{}, fmt.Errorf("%w: commit or remove these first:\n%s", ErrSource, changes)
	}
	return commit{root, hash, time.Unix(unix, 0).UTC()}, nil
}

// clone checks the commit out in a new repository. The linker names the commit there. It does
// not do so in a working tree that "git worktree" added.
func (c commit) clone(to string) error {
	if _, err := git(c.root, "clone", "--quiet", "--no-checkout", c.root, to); err != nil {
		return err
	}
	_, err := git(to, "-c", "core.autocrlf=false", "checkout", "--quiet", "--detach", c.hash)
	return err
}

// git runs a command of git and returns its output without the last line's end.
func git(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = kept(os.Environ())
	return output(cmd)
}

// output runs a command. An error includes the command's standard error.
func output(cmd *exec.Cmd) (string, error) {
	text, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return strings.TrimSuffix(string(text), "\n"), nil
}
