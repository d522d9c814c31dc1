//! Tokens to trees.

use super::{
    Aggregate, Comparison, Element, Expression, Item, MAX_DEPTH, MAX_OPERATORS, MAX_QUERY_BYTES, Operator, Order, Path,
    Projection, Query, QueryError, Source, Step,
    lexer::{Token, tokens},
};
use serde_json::Value;

pub(super) fn query(text: &str) -> Result<Query, QueryError> {
    let mut parser = Parser::new(text)?;
    parser.keyword("SELECT", "SELECT")?;
    let top = parser.top()?;
    let projection = parser.projection()?;
    parser.keyword("FROM", "FROM")?;
    let source = parser.source()?;
    parser.source = Some(source);
    let condition = if parser.take("WHERE") { Some(parser.expression()?) } else { None };
    let group_by = if parser.take_pair("GROUP", "BY")? { parser.paths()? } else { Vec::new() };
    let order_by = if parser.take_pair("ORDER", "BY")? { parser.order()? } else { Vec::new() };
    parser.end()?;
    let mut query = Query { top, projection, source, condition, group_by, order_by };
    // The projection comes before its source is known.
    if let Projection::Items(items) = &mut query.projection {
        for item in items {
            match &mut item.element {
                Element::Attribute(path) | Element::Aggregate(_, path) => strip(path, source),
                Element::Count => {}
            }
        }
    }
    check(&query)?;
    Ok(query)
}

pub(super) fn condition(text: &str) -> Result<Expression, QueryError> {
    let mut parser = Parser { source: Some(Source::Devices), ..Parser::new(text)? };
    let condition = parser.expression()?;
    parser.end()?;
    Ok(condition)
}

/// What is read well and still says nothing.
fn check(query: &Query) -> Result<(), QueryError> {
    let aggregates = match &query.projection {
        Projection::All => false,
        Projection::Items(items) => items.iter().any(|item| !matches!(item.element, Element::Attribute(_))),
    };
    if query.source == Source::Jobs && (aggregates || query.projection != Projection::All) {
        return Err(QueryError::Meaningless("jobs can only be selected whole"));
    }
    if !query.group_by.is_empty() && query.projection == Projection::All {
        return Err(QueryError::Meaningless("SELECT * can not be grouped"));
    }
    if let Projection::Items(items) = &query.projection
        && (aggregates || !query.group_by.is_empty())
    {
        let grouped = |item: &Item| match &item.element {
            Element::Attribute(path) => query.group_by.contains(path),
            Element::Count | Element::Aggregate(..) => true,
        };
        if !items.iter().all(grouped) {
            return Err(QueryError::Meaningless("what is selected beside an aggregate must be grouped by"));
        }
    }
    Ok(())
}

/// Takes the source's name from before an attribute: `devices.jobs.jobId`.
fn strip(path: &mut Path, source: Source) {
    let prefix: &[&str] = match source {
        Source::Devices => &["devices"],
        Source::Modules => &["devices", "modules"],
        Source::Jobs => &["devices", "jobs"],
    };
    let starts = path.0.len() > prefix.len()
        && prefix
            .iter()
            .zip(&path.0)
            .all(|(name, step)| matches!(step, Step::Name(other) if name.eq_ignore_ascii_case(other)));
    if starts {
        path.0.drain(..prefix.len());
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    end: usize,
    depth: usize,
    operators: usize,
    /// Known behind FROM.
    source: Option<Source>,
}

impl Parser {
    fn new(text: &str) -> Result<Self, QueryError> {
        if text.len() > MAX_QUERY_BYTES {
            return Err(QueryError::TooLong);
        }
        Ok(Self { tokens: tokens(text)?, next: 0, end: text.len(), depth: 0, operators: 0, source: None })
    }

    fn top(&mut self) -> Result<Option<u64>, QueryError> {
        if !self.take("TOP") {
            return Ok(None);
        }
        let parenthesis = self.sign("(");
        let top = match self.advance() {
            Some(Token::Constant(value)) => value.as_u64(),
            _ => None,
        };
        if parenthesis {
            self.expect(")", "')'")?;
        }
        top.map(Some).ok_or_else(|| self.expected("a whole number after TOP"))
    }

    fn projection(&mut self) -> Result<Projection, QueryError> {
        if self.sign("*") {
            return Ok(Projection::All);
        }
        let mut items = vec![self.item(1)?];
        while self.sign(",") {
            items.push(self.item(items.len() + 1)?);
        }
        Ok(Projection::Items(items))
    }

    fn item(&mut self, place: usize) -> Result<Item, QueryError> {
        let element = self.element()?;
        let name = if self.take("AS") {
            self.name()?
        } else {
            match &element {
                Element::Attribute(path) => path.last_name(),
                // A number without a name is called by its place.
                Element::Count | Element::Aggregate(..) => format!("${place}"),
            }
        };
        Ok(Item { element, name })
    }

    fn element(&mut self) -> Result<Element, QueryError> {
        let function = match (self.peek(), self.tokens.get(self.next + 1)) {
            (Some(Token::Word(word)), Some((_, Token::Sign("(")))) => word.to_ascii_uppercase(),
            _ => return Ok(Element::Attribute(self.path()?)),
        };
        let aggregate = match function.as_str() {
            "COUNT" => None,
            "AVG" => Some(Aggregate::Average),
            "SUM" => Some(Aggregate::Sum),
            "MIN" => Some(Aggregate::Minimum),
            "MAX" => Some(Aggregate::Maximum),
            _ => return Err(self.expected("COUNT, AVG, SUM, MIN or MAX")),
        };
        self.next += 2;
        let element = match aggregate {
            None => Element::Count,
            Some(aggregate) => Element::Aggregate(aggregate, self.path()?),
        };
        self.expect(")", "')'")?;
        Ok(element)
    }

    fn source(&mut self) -> Result<Source, QueryError> {
        self.keyword("DEVICES", "devices, devices.modules or devices.jobs")?;
        if !self.sign(".") {
            return Ok(Source::Devices);
        }
        match self.name()?.to_ascii_lowercase().as_str() {
            "modules" => Ok(Source::Modules),
            "jobs" => Ok(Source::Jobs),
            _ => Err(self.expected("devices, devices.modules or devices.jobs")),
        }
    }

    fn paths(&mut self) -> Result<Vec<Path>, QueryError> {
        let mut paths = vec![self.path()?];
        while self.sign(",") {
            paths.push(self.path()?);
        }
        Ok(paths)
    }

    fn order(&mut self) -> Result<Vec<(Path, Order)>, QueryError> {
        let mut order = Vec::new();
        loop {
            let path = self.path()?;
            let direction = if self.take("DESC") {
                Order::Descending
            } else {
                self.take("ASC");
                Order::Ascending
            };
            order.push((path, direction));
            if !self.sign(",") {
                return Ok(order);
            }
        }
    }

    fn path(&mut self) -> Result<Path, QueryError> {
        let mut steps = vec![Step::Name(self.name()?)];
        loop {
            if self.sign(".") {
                steps.push(Step::Name(self.name()?));
            } else if let Some(Token::Name(name)) = self.peek() {
                // `a.[[b c]]` and `a[[b c]]` are the same.
                steps.push(Step::Name(name.clone()));
                self.next += 1;
            } else if self.sign("[") {
                let step = match self.advance() {
                    Some(Token::Constant(Value::String(name))) => Step::Name(name),
                    Some(Token::Constant(value)) => {
                        let index = value.as_u64().and_then(|index| usize::try_from(index).ok());
                        Step::Index(index.ok_or_else(|| self.expected("an index"))?)
                    }
                    _ => return Err(self.expected("an index")),
                };
                steps.push(step);
                self.expect("]", "']'")?;
            } else {
                let mut path = Path(steps);
                if let Some(source) = self.source {
                    strip(&mut path, source);
                }
                return Ok(path);
            }
        }
    }

    fn expression(&mut self) -> Result<Expression, QueryError> {
        let mut operands = vec![self.conjunction()?];
        while self.take("OR") {
            operands.push(self.conjunction()?);
        }
        Ok(one_or(operands, Expression::Or))
    }

    fn conjunction(&mut self) -> Result<Expression, QueryError> {
        let mut operands = vec![self.negation()?];
        while self.take("AND") {
            operands.push(self.negation()?);
        }
        Ok(one_or(operands, Expression::And))
    }

    fn negation(&mut self) -> Result<Expression, QueryError> {
        if !self.take("NOT") {
            return self.comparison();
        }
        self.deeper(|parser| Ok(Expression::Not(Box::new(parser.negation()?))))
    }

    fn comparison(&mut self) -> Result<Expression, QueryError> {
        let left = self.sum()?;
        let signs = [
            ("=", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<>", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        for (sign, comparison) in signs {
            if self.sign(sign) {
                return Ok(Expression::Compare(comparison, Box::new(left), Box::new(self.sum()?)));
            }
        }
        if self.take("IN") {
            return Ok(Expression::In(Box::new(left), self.list()?));
        }
        if self.take("NIN") {
            return Ok(Expression::Not(Box::new(Expression::In(Box::new(left), self.list()?))));
        }
        Ok(left)
    }

    fn list(&mut self) -> Result<Vec<Expression>, QueryError> {
        self.expect("[", "'['")?;
        let mut items = Vec::new();
        if self.sign("]") {
            return Ok(items);
        }
        loop {
            items.push(self.sum()?);
            if !self.sign(",") {
                self.expect("]", "']'")?;
                return Ok(items);
            }
        }
    }

    fn sum(&mut self) -> Result<Expression, QueryError> {
        self.operators(&[("+", Operator::Add), ("-", Operator::Subtract)], Self::product)
    }

    fn product(&mut self) -> Result<Expression, QueryError> {
        let operators = [("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)];
        self.operators(&operators, Self::operand)
    }

    fn operators(
        &mut self,
        operators: &[(&'static str, Operator)],
        operand: fn(&mut Self) -> Result<Expression, QueryError>,
    ) -> Result<Expression, QueryError> {
        let mut left = operand(self)?;
        while let Some((_, operator)) = operators.iter().find(|(sign, _)| self.peek() == Some(&Token::Sign(sign))) {
            self.next += 1;
            self.operators += 1;
            if self.operators > MAX_OPERATORS {
                return Err(QueryError::TooManyOperators);
            }
            left = Expression::Arithmetic(*operator, Box::new(left), Box::new(operand(self)?));
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Expression, QueryError> {
        if self.sign("(") {
            return self.deeper(|parser| {
                let inner = parser.expression()?;
                parser.expect(")", "')'")?;
                Ok(inner)
            });
        }
        if self.sign("-") {
            let zero = Box::new(Expression::Constant(0.into()));
            return self
                .deeper(|parser| Ok(Expression::Arithmetic(Operator::Subtract, zero, Box::new(parser.operand()?))));
        }
        match self.peek() {
            Some(Token::Constant(value)) => {
                let value = value.clone();
                self.next += 1;
                Ok(Expression::Constant(value))
            }
            Some(Token::Word(word)) => {
                let word = word.to_ascii_lowercase();
                self.word(&word)
            }
            Some(Token::Name(_)) => Ok(Expression::Attribute(self.path()?)),
            _ => Err(self.expected("a value")),
        }
    }

    /// A keyword, a function or an attribute.
    fn word(&mut self, word: &str) -> Result<Expression, QueryError> {
        let constant = match word {
            "true" => Some(Expression::Constant(true.into())),
            "false" => Some(Expression::Constant(false.into())),
            "null" => Some(Expression::Constant(Value::Null)),
            "undefined" => Some(Expression::Undefined),
            _ => None,
        };
        if let Some(constant) = constant {
            self.next += 1;
            return Ok(constant);
        }
        if !matches!(self.tokens.get(self.next + 1), Some((_, Token::Sign("(")))) {
            return Ok(Expression::Attribute(self.path()?));
        }
        if word != "is_defined" {
            return Err(self.expected("is_defined, the only function of conditions"));
        }
        self.next += 2;
        let path = self.path()?;
        self.expect(")", "')'")?;
        Ok(Expression::IsDefined(path))
    }

    fn deeper(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<Expression, QueryError>,
    ) -> Result<Expression, QueryError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(QueryError::TooDeep);
        }
        let expression = inner(self);
        self.depth -= 1;
        expression
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn advance(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.next += usize::from(token.is_some());
        token
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str, expected: &'static str) -> Result<(), QueryError> {
        if self.sign(sign) { Ok(()) } else { Err(self.expected(expected)) }
    }

    fn take(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        self.next += usize::from(found);
        found
    }

    fn take_pair(&mut self, first: &str, second: &'static str) -> Result<bool, QueryError> {
        if !self.take(first) {
            return Ok(false);
        }
        self.keyword(second, second).map(|()| true)
    }

    fn keyword(&mut self, keyword: &str, expected: &'static str) -> Result<(), QueryError> {
        if self.take(keyword) { Ok(()) } else { Err(self.expected(expected)) }
    }

    fn name(&mut self) -> Result<String, QueryError> {
        match self.advance() {
            Some(Token::Word(name) | Token::Name(name)) => Ok(name),
            _ => Err(self.expected("a name")),
        }
    }

    fn end(&self) -> Result<(), QueryError> {
        if self.next == self.tokens.len() { Ok(()) } else { Err(self.expected("the end")) }
    }

    fn expected(&self, expected: &'static str) -> QueryError {
        let at = self.tokens.get(self.next).map_or(self.end, |(at, _)| *at);
        QueryError::Expected { at, expected }
    }
}

fn one_or(mut operands: Vec<Expression>, many: fn(Vec<Expression>) -> Expression) -> Expression {
    match operands.pop() {
        Some(only) if operands.is_empty() => only,
        last => {
            operands.extend(last);
            many(operands)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn queries_are_read() {
        for text in [
            "SELECT * FROM devices",
            "select top 5 * from devices",
            "SELECT TOP (5) deviceId AS id, tags.a FROM devices.modules",
            "SELECT COUNT() AS n FROM devices WHERE connectionState = 'Connected'",
            "SELECT tags.site, COUNT(), AVG(properties.reported.t) FROM devices GROUP BY tags.site",
            "SELECT * FROM devices WHERE (a = 1 OR NOT b != 2) AND is_defined(tags.x) ORDER BY deviceId DESC, a",
            "SELECT * FROM devices WHERE tags.a IN ['x', \"y\"] AND b NIN [1, 0x1F, -2.5e3]",
            "SELECT * FROM devices.jobs WHERE devices.jobs.deviceId = 'd' and jobId = 'j'",
            "SELECT * FROM devices WHERE properties.reported.[[a b]] = null OR tags[0]['x'] <> undefined",
            "SELECT * FROM devices WHERE a + 1 * 2 >= b / 3 - c % 4",
        ] {
            assert!(Query::parse(text).is_ok(), "{text}: {:?}", Query::parse(text));
        }
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (text, at) in [
            ("", 0),
            ("SELECT", 6),
            ("SELECT * FROM", 13),
            ("SELECT * FROM pumps", 14),
            ("SELECT * FROM devices WHERE", 27),
            ("SELECT * FROM devices WHERE a = ", 32),
            ("SELECT * FROM devices extra", 22),
            ("SELECT * FROM devices WHERE a = 'x", 32),
            ("SELECT * FROM devices WHERE as_number(a) = 1", 28),
            ("SELECT TOP 'x' * FROM devices", 15),
            ("SELECT * FROM devices WHERE a ~ 1", 30),
        ] {
            assert!(
                matches!(Query::parse(text), Err(QueryError::Expected { at: place, .. }) if place == at),
                "{text}: {:?}",
                Query::parse(text)
            );
        }
        for text in [
            "SELECT deviceId FROM devices.jobs",
            "SELECT * FROM devices GROUP BY a",
            "SELECT a, COUNT() FROM devices",
            "SELECT a, COUNT() FROM devices GROUP BY b",
        ] {
            assert!(matches!(Query::parse(text), Err(QueryError::Meaningless(_))), "{text}");
        }
        let deep = format!("SELECT * FROM devices WHERE {}a", "(".repeat(MAX_DEPTH + 1));
        assert_eq!(Query::parse(&deep), Err(QueryError::TooDeep));
        let deep = format!("SELECT * FROM devices WHERE {}a", "NOT ".repeat(MAX_DEPTH + 1));
        assert_eq!(Query::parse(&deep), Err(QueryError::TooDeep));
        assert_eq!(Query::parse(&"x".repeat(MAX_QUERY_BYTES + 1)), Err(QueryError::TooLong));
    }

    #[test]
    fn and_binds_tighter_than_or_and_the_source_is_no_part_of_a_path() {
        let condition = Expression::parse_condition("a OR b AND devices.c").expect("a condition");
        let attribute = |name: &str| Expression::Attribute(Path(vec![Step::Name(name.into())]));
        let both = Expression::And(vec![attribute("b"), attribute("c")]);
        assert_eq!(condition, Some(Expression::Or(vec![attribute("a"), both])));
        assert_eq!(Expression::parse_condition(" * "), Ok(None));
        let text = "SELECT devices.modules.moduleId FROM devices.modules WHERE devices.modules.devices = 1";
        let query = Query::parse(text).expect("a query");
        let path = |name: &str| Path(vec![Step::Name(name.into())]);
        let item = Item { element: Element::Attribute(path("moduleId")), name: "moduleId".into() };
        assert_eq!(query.projection, Projection::Items(vec![item]));
        let expected = Box::new(Expression::Attribute(path("devices")));
        assert!(matches!(query.condition, Some(Expression::Compare(_, left, _)) if left == expected));
    }

    #[test]
    fn long_queries_are_no_deep_recursion() {
        let document = serde_json::json!({"a": 1});
        let holds =
            |text: &str| Expression::parse_condition(text).map(|condition| condition.map(|it| it.holds(&document)));
        let chain = |word: &str, count: usize| format!("a{}", word.repeat(count));
        for word in [" OR a", " AND a"] {
            assert_eq!(holds(&chain(word, MAX_QUERY_BYTES / word.len() - 1)), Ok(Some(false)), "{word}");
        }
        for word in ["-a", "*a", "+a"] {
            assert_eq!(holds(&chain(word, MAX_OPERATORS)), Ok(Some(false)), "{word}");
            assert_eq!(holds(&chain(word, MAX_OPERATORS + 1)), Err(QueryError::TooManyOperators), "{word}");
        }
        let spine = format!("{}a{}", "(".repeat(MAX_DEPTH), "-a-a-a)".repeat(MAX_DEPTH));
        assert_eq!(holds(&spine), Ok(Some(false)));
        assert_eq!(holds(&spine.replace("-a-a", "-a-a-a-a")), Err(QueryError::TooManyOperators));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".{0,200}", prefix in "(SELECT \\* FROM devices WHERE )?") {
            let _ = Query::parse(&format!("{prefix}{text}"));
        }

        #[test]
        fn anything_of_its_words_is_read_without_panic(words in proptest::collection::vec("(SELECT|FROM|WHERE|devices|a|1|'x'|\\(|\\)|\\[|\\]|=|AND|NOT|IN|\\.|,|\\*|-|TOP|GROUP|BY|COUNT)", 0..40)) {
            let _ = Query::parse(&words.join(" "));
        }
    }
}
