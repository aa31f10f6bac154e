package tools

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
)

// Limits of an expression. Numbers are exact fractions, and these bound what they may cost.
const (
	maxExpression = 1000 // bytes
	maxNesting    = 100  // parentheses, signs and powers within each other
	maxBits       = 4096 // of a numerator or a denominator
	maxExponent   = 4096
	exactDigits   = 20 // decimals that are written out
	shownDigits   = 15 // significant digits of what can't be written out
)

// calculate evaluates an expression:
//
//	sum     = product { ("+" | "-") product } .
//	product = signed { ("*" | "/" | "%") signed } .
//	signed  = { "+" | "-" } raised .
//	raised  = atom [ "^" signed ] .
//	atom    = digits [ "." digits ] | "." digits | "(" sum ")" .
//
// A power binds tighter than a sign before it and is right-associative: -2^2 is -4 and 2^3^2 is 512.
func calculate(expression string) (string, error) {
	if len(expression) > maxExpression {
		return "", fmt.Errorf("expression: %d bytes are too many; at most %d", len(expression), maxExpression)
	}

	p := &parser{text: expression}

	value, err := p.sum()
	if err == nil && p.peek() != 0 {
		err = p.unexpected("an operator")
	}

	if err != nil {
		return "", fmt.Errorf("expression: %w", err)
	}

	return formatNumber(value), nil
}

// parser evaluates while it reads.
type parser struct {
	text  string
	at    int
	depth int
}

// peek returns the next character that is not a space, or 0 at the end.
func (p *parser) peek() byte {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}

	if p.at == len(p.text) {
		return 0
	}

	return p.text[p.at]
}

// take consumes the next character if it is one of those given.
func (p *parser) take(operators string) (operator byte, ok bool) {
	next := p.peek()
	if next == 0 || strings.IndexByte(operators, next) < 0 {
		return 0, false
	}

	p.at++

	return next, true
}

func (p *parser) unexpected(wanted string) error {
	if p.peek() == 0 {
		return fmt.Errorf("it ends where %s should be", wanted)
	}

	rest := []rune(p.text[p.at:])

	return fmt.Errorf("unexpected %q at position %d; want %s", rest[0], p.at+1, wanted)
}

// deeper guards the stack.
func (p *parser) deeper(parse func() (*big.Rat, error)) (*big.Rat, error) {
	p.depth++
	defer func() { p.depth-- }()

	if p.depth > maxNesting {
		return nil, fmt.Errorf("it is nested deeper than %d", maxNesting)
	}

	return parse()
}

func (p *parser) sum() (*big.Rat, error) { return p.chain("+-", p.product) }

func (p *parser) product() (*big.Rat, error) { return p.chain("*/%", p.signed) }

// chain evaluates operands from left to right.
func (p *parser) chain(operators string, operand func() (*big.Rat, error)) (*big.Rat, error) {
	value, err := operand()
	if err != nil {
		return nil, err
	}

	for {
		operator, ok := p.take(operators)
		if !ok {
			return value, nil
		}

		right, err := operand()
		if err != nil {
			return nil, err
		}

		if value, err = apply(operator, value, right); err != nil {
			return nil, err
		}
	}
}

func (p *parser) signed() (*big.Rat, error) {
	operator, ok := p.take("+-")
	if !ok {
		return p.raised()
	}

	value, err := p.deeper(p.signed)
	if err == nil && operator == '-' {
		value = new(big.Rat).Neg(value)
	}

	return value, err
}

func (p *parser) raised() (*big.Rat, error) {
	base, err := p.atom()
	if err != nil {
		return nil, err
	}

	if _, ok := p.take("^"); !ok {
		return base, nil
	}

	exponent, err := p.deeper(p.signed)
	if err != nil {
		return nil, err
	}

	return raise(base, exponent)
}

func (p *parser) atom() (*big.Rat, error) {
	if _, ok := p.take("("); !ok {
		return p.number()
	}

	value, err := p.deeper(p.sum)
	if err != nil {
		return nil, err
	}

	if _, ok := p.take(")"); !ok {
		return nil, p.unexpected(`")"`)
	}

	return value, nil
}

func (p *parser) number() (*big.Rat, error) {
	p.peek()

	start := p.at
	whole := p.digits()

	if p.at < len(p.text) && p.text[p.at] == '.' {
		p.at++
		whole += p.digits()
	}

	if whole == 0 {
		p.at = start

		return nil, p.unexpected("a number")
	}

	value, ok := new(big.Rat).SetString(p.text[start:p.at])
	if !ok {
		return nil, fmt.Errorf("%q is not a number", p.text[start:p.at])
	}

	return value, nil
}

// digits consumes digits and returns how many.
func (p *parser) digits() int {
	start := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}

	return p.at - start
}

func apply(operator byte, left, right *big.Rat) (*big.Rat, error) {
	value := new(big.Rat)

	switch operator {
	case '+':
		value.Add(left, right)
	case '-':
		value.Sub(left, right)
	case '*':
		value.Mul(left, right)
	case '/', '%':
		if right.Sign() == 0 {
			return nil, errors.New("division by zero")
		}

		value.Quo(left, right)

		if operator == '%' { // what is left over; it has the sign of the left side, as in Go and C
			whole := new(big.Rat).SetInt(new(big.Int).Quo(value.Num(), value.Denom()))
			value.Sub(left, whole.Mul(whole, right))
		}
	}

	return bounded(value)
}

// raise is exact for whole exponents, and as exact as a float64 for others.
func raise(base, exponent *big.Rat) (*big.Rat, error) {
	if !exponent.IsInt() {
		return raiseFloat(base, exponent)
	}

	if !exponent.Num().IsInt64() || exponent.Num().Int64() < -maxExponent || exponent.Num().Int64() > maxExponent {
		return nil, fmt.Errorf("the exponent %s is too large; at most %d", clip(exponent.RatString(), 40), maxExponent)
	}

	power := exponent.Num().Int64()
	if power < 0 {
		if base.Sign() == 0 {
			return nil, errors.New("division by zero")
		}

		base, power = new(big.Rat).Inv(base), -power
	}

	// The size is known before the work: fail first.
	if bits := int64(max(base.Num().BitLen(), base.Denom().BitLen())); (bits-1)*power > maxBits {
		return nil, errTooLarge()
	}

	times := big.NewInt(power)

	return bounded(new(big.Rat).SetFrac(
		new(big.Int).Exp(base.Num(), times, nil), new(big.Int).Exp(base.Denom(), times, nil)))
}

func raiseFloat(base, exponent *big.Rat) (*big.Rat, error) {
	baseFloat, _ := base.Float64()
	exponentFloat, _ := exponent.Float64()

	value := math.Pow(baseFloat, exponentFloat)
	if math.IsNaN(value) {
		return nil, errors.New("a root of a negative number is not a real number")
	}

	if math.IsInf(value, 0) {
		return nil, errTooLarge()
	}

	return new(big.Rat).SetFloat64(value), nil
}

func bounded(value *big.Rat) (*big.Rat, error) {
	if value.Num().BitLen() > maxBits || value.Denom().BitLen() > maxBits {
		return nil, errTooLarge()
	}

	return value, nil
}

func errTooLarge() error { return fmt.Errorf("a number becomes longer than %d bits", maxBits) }

// formatNumber writes whole numbers and short decimals exactly, and others with 15 significant digits.
func formatNumber(value *big.Rat) string {
	if digits, exact := value.FloatPrec(); exact && digits <= exactDigits {
		return value.FloatString(digits)
	}

	return new(big.Float).SetPrec(256).SetRat(value).Text('g', shownDigits)
}
