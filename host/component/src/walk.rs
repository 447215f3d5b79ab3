//! One pass over the bytes of a component: is it valid, how large is its structure, what does it import and export.
//!
//! The validator that counts in the end is the one of wasmtime, in the compiler child. This one runs first because it is bounded: it stops
//! at the first cap that is exceeded, so a compile bomb does not even reach the compiler.

use crate::accept::ComponentLimits;
use growqr_types::{Failure, codes};
use wasmparser::{
    ComponentExternalKind, FuncValidatorAllocations, FunctionBody, Instance, Operator, Parser, Payload, ValidPayload,
    Validator, WasmFeatures,
};

/// Modules in a component.
const MODULES_MAX: u32 = 64;
/// Components inside a component, all together.
const COMPONENTS_MAX: u32 = 64;
/// Components inside components inside ...
const NESTING_MAX: usize = 8;
/// Imports or exports of the outermost component.
const NAMES_MAX: usize = 256;
/// Data segments, all modules together.
const DATA_SEGMENTS_MAX: u32 = 100_000;
/// Elements of all tables at the start.
const TABLE_ELEMENTS_MAX: u64 = 100_000;
/// Blocks inside blocks in one function. A `match` with many arms nests one block for each.
const BLOCK_DEPTH_MAX: usize = 10_000;

/// The caps that a deployment can set.
pub(crate) struct StructureLimits {
    functions_max: u32,
    function_body_bytes_max: usize,
    locals_max: u32,
    loop_depth_max: usize,
}

impl From<&ComponentLimits> for StructureLimits {
    fn from(limits: &ComponentLimits) -> Self {
        Self {
            functions_max: limits.functions_max,
            function_body_bytes_max: limits.function_body_bytes_max,
            locals_max: limits.locals_max,
            loop_depth_max: limits.loop_depth_max,
        }
    }
}

/// What a component is made of.
#[derive(Debug, Default, Clone)]
pub(crate) struct Shape {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
    pub(crate) functions: u32,
    pub(crate) largest_function_bytes: usize,
    pub(crate) modules: u32,
    pub(crate) components: u32,
    pub(crate) core_instances: u32,
    pub(crate) memories: u32,
    pub(crate) tables: u32,
    data_segments: u32,
    table_elements: u64,
}

fn too_many(what: &str, have: impl std::fmt::Display, max: impl std::fmt::Display) -> Failure {
    codes::COMPONENT_STRUCTURE.with(format!("{what}: {have}, and at most {max} are allowed"))
}

fn cap<T: PartialOrd + std::fmt::Display>(what: &str, have: T, max: T) -> Result<(), Failure> {
    if have > max { Err(too_many(what, have, max)) } else { Ok(()) }
}

fn invalid(error: &wasmparser::BinaryReaderError) -> Failure {
    codes::COMPONENT_INVALID.with(format!("the component is not valid: {error}"))
}

/// What guests may use: WebAssembly 2.0 and what compilers of today emit. No threads, 64-bit memories, garbage collection, exceptions or
/// asynchronous component calls.
fn features() -> WasmFeatures {
    WasmFeatures::WASM2 | WasmFeatures::EXTENDED_CONST | WasmFeatures::TAIL_CALL | WasmFeatures::COMPONENT_MODEL
}

/// Validates a component and measures it, within the caps.
pub(crate) fn walk(wasm: &[u8], limits: &StructureLimits) -> Result<Shape, Failure> {
    let mut shape = Shape::default();
    let mut validator = Validator::new_with_features(features());
    let mut allocations = FuncValidatorAllocations::default();
    let mut depth = 0usize;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(|error| invalid(&error))?;
        measure(&payload, depth, &mut shape, limits)?;
        match &payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        cap("components inside components", depth, NESTING_MAX)?;
        if let ValidPayload::Func(function, body) = validator.payload(&payload).map_err(|error| invalid(&error))? {
            measure_body(&body, &mut shape, limits)?;
            let mut function = function.into_validator(allocations);
            function.validate(&body).map_err(|error| invalid(&error))?;
            allocations = function.into_allocations();
        }
    }
    Ok(shape)
}

fn measure(payload: &Payload<'_>, depth: usize, shape: &mut Shape, limits: &StructureLimits) -> Result<(), Failure> {
    match payload {
        Payload::ModuleSection { .. } => {
            shape.modules += 1;
            cap("modules", shape.modules, MODULES_MAX)
        }
        Payload::ComponentSection { .. } => {
            shape.components += 1;
            cap("components inside the component", shape.components, COMPONENTS_MAX)
        }
        Payload::CodeSectionStart { count, .. } => {
            shape.functions = shape.functions.saturating_add(*count);
            cap("functions", shape.functions, limits.functions_max)
        }
        Payload::DataSection(section) => {
            shape.data_segments = shape.data_segments.saturating_add(section.count());
            cap("data segments", shape.data_segments, DATA_SEGMENTS_MAX)
        }
        Payload::MemorySection(section) => {
            shape.memories = shape.memories.saturating_add(section.count());
            Ok(())
        }
        Payload::TableSection(section) => {
            shape.tables = shape.tables.saturating_add(section.count());
            for table in section.clone() {
                let initial = table.map_err(|error| invalid(&error))?.ty.initial;
                shape.table_elements = shape.table_elements.saturating_add(initial);
            }
            cap("table elements", shape.table_elements, TABLE_ELEMENTS_MAX)
        }
        Payload::InstanceSection(section) => {
            for instance in section.clone() {
                if let Instance::Instantiate { .. } = instance.map_err(|error| invalid(&error))? {
                    shape.core_instances = shape.core_instances.saturating_add(1);
                }
            }
            Ok(())
        }
        Payload::ComponentImportSection(section) if depth == 0 => {
            for import in section.clone() {
                shape.imports.push(import.map_err(|error| invalid(&error))?.name.name.to_owned());
            }
            cap("imports", shape.imports.len(), NAMES_MAX)
        }
        Payload::ComponentExportSection(section) if depth == 0 => {
            for export in section.clone() {
                let export = export.map_err(|error| invalid(&error))?;
                if export.kind != ComponentExternalKind::Type {
                    shape.exports.push(export.name.name.to_owned());
                }
            }
            cap("exports", shape.exports.len(), NAMES_MAX)
        }
        _ => Ok(()),
    }
}

fn measure_body(body: &FunctionBody<'_>, shape: &mut Shape, limits: &StructureLimits) -> Result<(), Failure> {
    let bytes = body.range();
    let bytes = usize::try_from(bytes.end - bytes.start).unwrap_or(usize::MAX);
    shape.largest_function_bytes = shape.largest_function_bytes.max(bytes);
    cap("bytes of one function", bytes, limits.function_body_bytes_max)?;
    let mut locals = 0u32;
    for group in body.get_locals_reader().map_err(|error| invalid(&error))? {
        let (count, _) = group.map_err(|error| invalid(&error))?;
        locals = locals.saturating_add(count);
        cap("locals of one function", locals, limits.locals_max)?;
    }
    let mut operators = body.get_operators_reader().map_err(|error| invalid(&error))?;
    let mut open: Vec<bool> = Vec::new();
    let mut loops = 0usize;
    while !operators.eof() {
        match operators.read().map_err(|error| invalid(&error))? {
            Operator::Loop { .. } => {
                open.push(true);
                loops += 1;
            }
            Operator::Block { .. } | Operator::If { .. } => open.push(false),
            Operator::End => loops -= usize::from(open.pop() == Some(true)),
            _ => {}
        }
        cap("loops inside loops", loops, limits.loop_depth_max)?;
        cap("blocks inside blocks", open.len(), BLOCK_DEPTH_MAX)?;
    }
    Ok(())
}
