package main

import (
	"errors"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// Limits of a predicate, which a client chooses. They bound the work and the memory of one answer.
const (
	maxPredicate = 16 << 10 // bytes
	maxNodes     = 4096     // nodes of the expression, after macros are replaced
	maxNesting   = 100      // expressions inside one another
	maxPattern   = 10_000   // instructions of a regular expression
	maxCost      = 1 << 22  // cost of one object in CEL's units; it bounds the memory as well
)

var errPredicate = errors.New("not a predicate")

// language compiles predicates.
type language struct{ env *cel.Env }

func newLanguage() (*language, error) {
	env, err := cel.NewEnv(
		cel.Variable(variable, cel.DynType),
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxPredicate),
		cel.ParserRecursionLimit(maxNesting),
		cel.ExpressionNodeLimit(maxNodes),
		cel.RegexProgramSizeLimit(maxPattern),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateDurationLiterals()),
	)
	return &language{env}, err
}

// compile compiles a predicate. The program is nil if it matches all objects.
func (l *language) compile(predicate []byte) (cel.Program, error) {
	if len(predicate) == 0 {
		return nil, nil
	}
	if len(predicate) > maxPredicate || !utf8.Valid(predicate) {
		return nil, errPredicate
	}
	checked, issues := l.env.Compile(string(predicate))
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	if t := checked.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, errPredicate
	}
	if !literalPatterns(checked.NativeRep().Expr()) {
		return nil, errPredicate
	}
	return l.env.Program(checked, cel.CostLimit(maxCost), cel.CostTracking(growth{}))
}

// literalPatterns reports whether all regular expressions are literals, so that none is compiled for an
// object.
func literalPatterns(e ast.Expr) bool {
	literal := true
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != "matches" {
			return
		}
		arguments := e.AsCall().Args()
		last := arguments[len(arguments)-1]
		literal = literal && last.Kind() == ast.LiteralKind
	}))
	return literal
}

// growth charges a concatenation for the whole size of its result. CEL joins lists in one step, so a few
// steps make a list of any size.
type growth struct{}

// CallCost implements cost.ActualCostEstimator.
func (growth) CallCost(function, _ string, _ []ref.Val, result ref.Val) *uint64 {
	if function != "_+_" {
		return nil
	}
	cost := uint64(1)
	switch v := result.(type) {
	case types.String:
		cost += uint64(len(v))
	case types.Bytes:
		cost += uint64(len(v))
	case traits.Lister:
		n, _ := v.Size().(types.Int)
		cost += uint64(n)
	}
	return &cost
}
