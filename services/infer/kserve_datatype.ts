import { DataType } from '#proto/inference/model_config.js';
import type { TensorType } from './output_tensor.js';

/** A type of numbers as the open inference protocol has it. */
interface Datatype {
  /** In requests and metadata. */
  name: string;
  /** In a model's configuration. */
  config: DataType;
}

const DATATYPES: Readonly<Record<TensorType, Datatype>> = {
  bool: { name: 'BOOL', config: DataType.TYPE_BOOL },
  uint8: { name: 'UINT8', config: DataType.TYPE_UINT8 },
  uint16: { name: 'UINT16', config: DataType.TYPE_UINT16 },
  uint32: { name: 'UINT32', config: DataType.TYPE_UINT32 },
  uint64: { name: 'UINT64', config: DataType.TYPE_UINT64 },
  int8: { name: 'INT8', config: DataType.TYPE_INT8 },
  int16: { name: 'INT16', config: DataType.TYPE_INT16 },
  int32: { name: 'INT32', config: DataType.TYPE_INT32 },
  int64: { name: 'INT64', config: DataType.TYPE_INT64 },
  float16: { name: 'FP16', config: DataType.TYPE_FP16 },
  float32: { name: 'FP32', config: DataType.TYPE_FP32 },
  float64: { name: 'FP64', config: DataType.TYPE_FP64 },
};

const TYPES: ReadonlyMap<string, TensorType> = new Map(
  (Object.keys(DATATYPES) as TensorType[]).map((type) => [DATATYPES[type].name, type]),
);

/** The protocol's name of a type, for example FP32. */
export const datatypeName = (type: TensorType): string => DATATYPES[type].name;

/** A type in a model's configuration. */
export const configDatatype = (type: TensorType): DataType => DATATYPES[type].config;

/** The type of a name; null for one that is not known, or that no model here takes. */
export const tensorTypeOf = (datatype: string): TensorType | null => TYPES.get(datatype) ?? null;
